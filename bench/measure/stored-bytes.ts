import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { createClient } from "redis";
import { MongoClient } from "mongodb";
import { createConnection, type RowDataPacket } from "mysql2/promise";

/** All files of a folder, without its folders. */
export async function folderBytes(folder: string): Promise<number> {
  const files = await readdir(folder);
  const sizes = files.map(async (file) => (await stat(join(folder, file))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** Redis keeps its data in memory, so that is what counts. */
export async function redisBytes(url: string): Promise<number> {
  const client = createClient({ url });
  await client.connect();
  try {
    const used = /used_memory_dataset:(\d+)/.exec(await client.info("memory"))?.[1];
    if (used === undefined) throw new Error("Redis did not tell what memory its data takes");
    return Number(used);
  } finally {
    await client.close();
  }
}

/** The files of all tables in the database that the URL names. */
export async function mariadbBytes(url: string): Promise<number> {
  const connection = await createConnection(url);
  try {
    const database = new URL(url).pathname.slice(1);
    const [rows] = await connection.query<RowDataPacket[]>(
      "SELECT SUM(file_size) AS bytes FROM information_schema.innodb_sys_tablespaces " +
        "WHERE name LIKE ?",
      [`${database}/%`],
    );
    return Number(rows[0]?.["bytes"] ?? 0);
  } finally {
    await connection.end();
  }
}

/** Collections and indexes as they are in files, after all that is in memory has been written. */
export async function mongodbBytes(url: string): Promise<number> {
  const client = new MongoClient(url);
  try {
    await client.db("admin").command({ fsync: 1 });
    const stats = await client.db().stats();
    return Number(stats["storageSize"]) + Number(stats["indexSize"]);
  } finally {
    await client.close();
  }
}
