import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Error as ERRORS_ONLY, logger, parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { GrowthRow } from "../loads/growth.ts";
import { LOAD_TITLES } from "../loads/load.ts";
import type { WatchRow } from "../loads/watch.ts";
import { STORE_NAMES } from "../options.ts";
import type { BenchResult } from "./result-file.ts";
import type { Cell } from "./results.ts";
import { SHARES } from "./targets.ts";

/** A chart for the page: `file` lies in the folder of charts, `title` describes it in words. */
export interface Chart {
  readonly file: string;
  readonly title: string;
  readonly spec: TopLevelSpec;
}

export const CHART_FOLDER = "charts";

/** Every chart that a result has figures for. */
export function chartsOf(result: BenchResult): readonly Chart[] {
  const charts: Chart[] = [];
  if (result.loads !== undefined) {
    charts.push(shareChart(result.loads.rows), latencyChart(result.loads.rows));
  }
  if (result.matrix !== undefined) charts.push(connectionsChart(allCells(result)));
  if (result.watch !== undefined && result.watch.rows.length > 0) {
    charts.push(watchChart(result.watch.rows));
  }
  if (result.growth !== undefined) charts.push(growthChart(result.growth.rows));
  return charts;
}

/** Draws charts into a folder as SVG. */
export async function drawCharts(charts: readonly Chart[], folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const { file, spec } of charts) {
    await writeFile(join(folder, file), `${await toSvg(spec)}\n`);
  }
}

export async function toSvg(spec: TopLevelSpec): Promise<string> {
  const view = new View(parse(compile(spec, { logger: logger(ERRORS_ONLY) }).spec), {
    renderer: "none",
  });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

const BASE = {
  background: "white",
  config: {
    font: "sans-serif",
    axis: { labelFontSize: 11, titleFontSize: 12, titleFontWeight: "normal" },
    header: { labelFontSize: 12, titleFontSize: 12 },
    legend: { labelFontSize: 11, titleFontSize: 12 },
  },
} as const satisfies Partial<TopLevelSpec>;

const STORE_ORDER = [...STORE_NAMES, "peers"];
const STORE_COLOR = {
  field: "store",
  type: "nominal",
  title: null,
  sort: [...STORE_NAMES],
} as const;

/** What each contender reached of the bare server, with a line where we aim. */
function shareChart(cells: readonly Cell[]): Chart {
  const loads = ["get", "put", "hot"] as const;
  const values = cells
    .filter((cell) => cell.connections === 64 && cell.valueBytes === 100)
    .filter(
      ({ contender, group }) =>
        contender !== "bare" && !(group === "peers" && contender === "ours"),
    )
    .flatMap((cell) => {
      const load = loads.find((one) => one === cell.load);
      if (load === undefined) return [];
      const { group, contender, share } = cell;
      const aim = group === "peers" || contender !== "ours" ? null : SHARES[load][group];
      const label = contender === "ours" ? group : contender;
      return [{ store: group, contender, label, share, aim, load: LOAD_TITLES[load] }];
    });
  const y = {
    field: "share",
    type: "quantitative",
    title: "share of the bare server's rate",
  } as const;
  const x = {
    field: "contender",
    type: "nominal",
    title: null,
    axis: { labelAngle: -45 },
  } as const;
  return {
    file: "shares.svg",
    title: "Share of the bare server's rate, by store and load; black lines mark what is aimed for",
    spec: {
      ...BASE,
      data: { values },
      facet: {
        row: {
          field: "load",
          type: "nominal",
          title: null,
          sort: loads.map((load) => LOAD_TITLES[load]),
        },
        column: { field: "store", type: "nominal", title: null, sort: STORE_ORDER },
      },
      resolve: { scale: { x: "independent" } },
      spec: {
        width: { step: 34 },
        height: 150,
        layer: [
          {
            mark: "bar",
            encoding: {
              x,
              y,
              color: {
                field: "contender",
                type: "nominal",
                legend: null,
                scale: { scheme: "tableau10" },
              },
            },
          },
          {
            mark: { type: "tick", color: "black", thickness: 2, width: 30 },
            encoding: { x, y: { ...y, field: "aim" } },
          },
        ],
      },
    },
  };
}

/** Our latency at 64 connections: from the median to one in a thousand. */
function latencyChart(cells: readonly Cell[]): Chart {
  const values = cells
    .filter(({ contender, group }) => contender === "ours" && group !== "peers")
    .filter(({ connections, valueBytes }) => connections === 64 && valueBytes === 100)
    .flatMap(({ group, load, p50Us, p99Us, p999Us }) =>
      Object.entries({ p50: p50Us, p99: p99Us, "p99.9": p999Us }).map(([percentile, us]) => ({
        store: group,
        load: LOAD_TITLES[load],
        percentile,
        ms: us / 1000,
      })),
    );
  return {
    file: "latency.svg",
    title: "Latency of our server at 64 connections: p50, p99 and p99.9",
    spec: {
      ...BASE,
      data: { values },
      width: 420,
      height: { step: 16 },
      mark: { type: "point", filled: true, size: 60 },
      encoding: {
        x: { field: "ms", type: "quantitative", scale: { type: "log" }, title: "milliseconds" },
        y: { field: "store", type: "nominal", title: null, sort: [...STORE_NAMES] },
        row: {
          field: "load",
          type: "nominal",
          title: null,
          header: { labelAngle: 0, labelAlign: "left" },
        },
        color: { field: "percentile", type: "nominal", title: null },
      },
    },
  };
}

function connectionsChart(cells: readonly Cell[]): Chart {
  const values = cells
    .filter(({ contender, group }) => contender === "ours" && group !== "peers")
    .filter(({ load, valueBytes }) => valueBytes === 100 && (load === "get" || load === "put"))
    .map((cell) => ({ ...cell, store: cell.group, load: LOAD_TITLES[cell.load] }));
  return {
    file: "connections.svg",
    title: "Answers per second by number of connections, 100-byte values",
    spec: {
      ...BASE,
      data: { values },
      width: 300,
      height: 220,
      mark: { type: "line", point: true },
      encoding: {
        x: {
          field: "connections",
          type: "quantitative",
          scale: { type: "log", base: 4 },
          axis: { values: [1, 16, 64, 256] },
        },
        y: { field: "rate", type: "quantitative", title: "answers per second" },
        column: { field: "load", type: "nominal", title: null },
        color: STORE_COLOR,
      },
    },
  };
}

function watchChart(rows: readonly WatchRow[]): Chart {
  const values = rows.flatMap(({ group, watchers, p50Us, p99Us }) =>
    Object.entries({ p50: p50Us, p99: p99Us }).map(([percentile, us]) => ({
      store: group,
      watchers,
      percentile,
      ms: us / 1000,
    })),
  );
  return {
    file: "watch.svg",
    title: "From sending a PUT to the arrival of its event, by number of watchers",
    spec: {
      ...BASE,
      data: { values },
      width: 460,
      height: 240,
      mark: { type: "line", point: true },
      encoding: {
        x: { field: "watchers", type: "quantitative", scale: { type: "symlog" } },
        y: { field: "ms", type: "quantitative", scale: { type: "log" }, title: "milliseconds" },
        color: STORE_COLOR,
        strokeDash: { field: "percentile", type: "nominal", title: null },
      },
    },
  };
}

function growthChart(rows: readonly GrowthRow[]): Chart {
  const values = rows.map((row) => ({
    ...row,
    store: row.group,
    what: `${row.operation}, by ${row.axis}`,
  }));
  return {
    file: "growth.svg",
    title: "Share of the bare server's rate as keys and versions grow: flat is what is wanted",
    spec: {
      ...BASE,
      data: { values },
      facet: { field: "what", type: "nominal", title: null },
      columns: 4,
      resolve: { scale: { x: "independent", y: "independent" } },
      spec: {
        width: 170,
        height: 130,
        mark: { type: "line", point: true },
        encoding: {
          x: {
            field: "size",
            type: "quantitative",
            scale: { type: "log" },
            title: null,
            axis: { format: "~s" },
          },
          y: { field: "share", type: "quantitative", title: null, scale: { domainMin: 0 } },
          color: STORE_COLOR,
        },
      },
    },
  };
}

function allCells({ loads, matrix }: BenchResult): readonly Cell[] {
  return [...(loads?.rows ?? []), ...(matrix?.rows ?? [])];
}
