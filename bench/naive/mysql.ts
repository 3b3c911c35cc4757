import { createPool, type ResultSetHeader, type RowDataPacket } from "mysql2/promise";
import { naiveArguments, serveNaive, type NaiveEntry } from "./http.ts";

/** One transaction per PUT: a counter row that gives the version, then the version itself. */
const { port, url } = naiveArguments();
const pool = createPool(url);
await pool.query(
  "CREATE TABLE IF NOT EXISTS naive_heads (k VARCHAR(512) PRIMARY KEY, version BIGINT NOT NULL)",
);
await pool.query(
  "CREATE TABLE IF NOT EXISTS naive_versions " +
    "(k VARCHAR(512), version BIGINT, value LONGTEXT, PRIMARY KEY (k, version))",
);

async function put(key: string, value: string): Promise<number> {
  const connection = await pool.getConnection();
  try {
    await connection.beginTransaction();
    const [{ insertId }] = await connection.execute<ResultSetHeader>(
      "INSERT INTO naive_heads VALUES (?, LAST_INSERT_ID(1)) " +
        "ON DUPLICATE KEY UPDATE version = LAST_INSERT_ID(version + 1)",
      [key],
    );
    await connection.execute("INSERT INTO naive_versions VALUES (?, ?, ?)", [key, insertId, value]);
    await connection.commit();
    return insertId;
  } catch (error) {
    await connection.rollback();
    throw error;
  } finally {
    connection.release();
  }
}

async function readOne(sql: string, values: (string | number)[]): Promise<NaiveEntry | undefined> {
  const [rows] = await pool.execute<RowDataPacket[]>(sql, values);
  return rows[0] as NaiveEntry | undefined;
}

await serveNaive(
  {
    put,
    get: (key) =>
      readOne(
        "SELECT value, version FROM naive_versions WHERE k = ? ORDER BY version DESC LIMIT 1",
        [key],
      ),
    getVersion: (key, version) =>
      readOne("SELECT value, version FROM naive_versions WHERE k = ? AND version = ?", [
        key,
        version,
      ]),
  },
  port,
);
