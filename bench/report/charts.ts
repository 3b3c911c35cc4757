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

/** What stands for itself in a chart that is put together of several. */
type UnitOrLayer = Extract<TopLevelSpec, { readonly layer: unknown }>;

export const CHART_FOLDER = "charts";

/** Every chart that a result has figures for. */
export function chartsOf(result: BenchResult): readonly Chart[] {
  const charts: Chart[] = [];
  if (result.loads !== undefined) {
    charts.push(shareChart(result.loads.rows), latencyChart(result.loads.rows));
  }
  if (result.matrix !== undefined) charts.push(connectionsChart(allCells(result)));
  const watchers = new Set(result.watch?.rows.map((row) => row.watchers));
  if (result.watch !== undefined && watchers.size > 1) charts.push(watchChart(result.watch.rows));
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

/** What each contender reached of the bare server, with a line where we aim: a chart for each load. */
function shareChart(cells: readonly Cell[]): Chart {
  const loads = ["get", "put", "hot"] as const;
  const shown = cells
    .filter(isMainBusy)
    .filter(({ group, contender }) => contender !== "bare" && !isReference({ group, contender }));
  return {
    file: "shares.svg",
    title: "Share of the bare server's rate, by store and load; black lines mark what is aimed for",
    spec: { ...BASE, vconcat: loads.map((load) => shareOfLoad(shown, load)) },
  };
}

function shareOfLoad(cells: readonly Cell[], load: keyof typeof SHARES): UnitOrLayer {
  const values = cells
    .filter((cell) => cell.load === load)
    .map(({ group, contender, share }) => {
      const aim = group === "peers" || contender !== "ours" ? null : SHARES[load][group];
      return { store: group, contender, share, aim };
    });
  const x = { field: "store", type: "nominal", sort: STORE_ORDER, title: null } as const;
  const place = { x: { ...x, axis: { labelAngle: 0 } }, xOffset: { field: "contender" } } as const;
  const y = { type: "quantitative", title: "share" } as const;
  return {
    title: { text: LOAD_TITLES[load], anchor: "start", fontSize: 13 },
    data: { values },
    width: 640,
    height: 130,
    layer: [
      {
        mark: "bar",
        encoding: {
          ...place,
          y: { ...y, field: "share" },
          color: { field: "contender", type: "nominal", title: null },
        },
      },
      {
        transform: [{ filter: "datum.aim !== null" }],
        mark: { type: "tick", color: "black", thickness: 2 },
        encoding: { ...place, y: { ...y, field: "aim" } },
      },
    ],
  };
}

/** Our latency at 64 connections: from the median to one in a thousand. */
function latencyChart(cells: readonly Cell[]): Chart {
  const ours = cells.filter(isMainBusy).filter(({ group, contender }) => {
    return contender === "ours" && !isReference({ group, contender });
  });
  const values = ours.flatMap(({ group, load, p50Us, p99Us, p999Us }) =>
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
      facet: {
        field: "load",
        type: "nominal",
        title: null,
        sort: Object.values(LOAD_TITLES),
        header: { labelAnchor: "start" },
      },
      columns: 2,
      spec: {
        width: 300,
        height: { step: 16 },
        mark: { type: "point", filled: true, size: 60 },
        encoding: {
          x: {
            field: "ms",
            type: "quantitative",
            scale: { type: "log" },
            title: "ms",
            axis: { tickCount: 4 },
          },
          y: { field: "store", type: "nominal", title: null, sort: [...STORE_NAMES] },
          color: { field: "percentile", type: "nominal", title: null },
        },
      },
    },
  };
}

/** The figures that the main tables show of many connections. */
function isMainBusy({ connections, valueBytes }: Cell): boolean {
  return connections === 64 && valueBytes === 100;
}

/** Beside the peers, our server only gives the bytes that the bare one answers. */
function isReference({ group, contender }: Pick<Cell, "group" | "contender">): boolean {
  return group === "peers" && contender === "ours";
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
      width: 300,
      height: 220,
      mark: { type: "line", point: true },
      encoding: {
        x: {
          field: "watchers",
          type: "quantitative",
          scale: { type: "log" },
          axis: { grid: false, format: "~s" },
        },
        y: { field: "ms", type: "quantitative", scale: { type: "log" }, title: "milliseconds" },
        color: STORE_COLOR,
        column: { field: "percentile", type: "nominal", title: null },
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
            axis: { format: "~s", grid: false, tickCount: 3 },
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
