// Charts: lines over minutes, drawn by uPlot in the viewer's locale, zone and colours.
"use strict";

window.Charts = (() => {
  const charts = new Map();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  // Lines also differ by their dashes, for people who cannot see the colours.
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [4, 4], [1, 4]];
  const FONT = '12px system-ui, -apple-system, "Segoe UI", sans-serif';
  const AXIS_GAP = 17;
  // Values other than 0 are drawn at least this high, as a share of the highest one: a few failures beside many
  // successes are visible. The legend and the table have the exact values.
  const LEAST_SHARE = 0.05;

  const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const minute = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
  const minuteText = (unixS) => minute.format(new Date(unixS * 1000));
  const valueText = (chart, value) => (value == null ? "–" : `${value.toLocaleString()}${chart.unit ? ` ${chart.unit}` : ""}`);

  const ruler = document.createElement("canvas").getContext("2d");
  const widthOf = (texts) => {
    ruler.font = FONT;
    return Math.ceil(Math.max(...texts.map((text) => ruler.measureText(text).width)));
  };

  const columns = (chart) => {
    const least = LEAST_SHARE * Math.max(...chart.lines.flatMap((line) => line.values));
    return [chart.times, ...chart.lines.map(({ values }) => values.map((value) => (value ? Math.max(value, least) : value)))];
  };

  // A line needs two minutes, so a minute between others without a value gets a point.
  const isLone = (values, at) => {
    const around = [values[at - 1], values[at + 1]];
    return around.every((value) => !value) && (values[at] > 0 || (values[at] === 0 && around.every((value) => value == null)));
  };

  // `drawn` holds the chart whose values are shown now.
  const options = (drawn, place) => {
    const { times, lines } = drawn.chart;
    const minuteWidth = widthOf(times.map(minuteText));
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("rule") }, ticks: { stroke: colour("rule") }, font: FONT };
    return {
      width: place.clientWidth,
      height: 190,
      // A minute's label is centred below its tick, and the last tick may be at the right edge.
      padding: [null, minuteWidth / 2 + 2, null, null],
      scales: { y: { range: (_plot, _low, high) => [0, Math.max(high * 1.1, 1)] } },
      axes: [
        {
          ...axis,
          space: minuteWidth + 12,
          // If there is little room, uPlot's only tick may be after the last minute.
          filter: (plot, splits) => splits.map((at) => (at >= plot.scales.x.min && at <= plot.scales.x.max ? at : null)),
          values: (_plot, splits) => splits.map((at) => (at == null ? "" : minuteText(at))),
        },
        {
          ...axis,
          size: (_plot, labels) => Math.max(widthOf(labels ?? [""]) + AXIS_GAP, minuteWidth / 2 + 2),
          values: (_plot, values) => values.map((value) => valueText(drawn.chart, value)),
        },
      ],
      series: [
        { label: "Time", value: (_plot, unixS) => (unixS == null ? "–" : moment.format(new Date(unixS * 1000))) },
        ...lines.map((line, n) => ({
          label: line.label, stroke: colour(line.style), width: 2, dash: DASHES[n % DASHES.length], spanGaps: true,
          points: {
            show: false,
            filter: () => times.map((_time, at) => at).filter((at) => isLone(drawn.chart.lines[n].values, at)),
            // Points at the same place are one inside the other.
            size: 5 + 2 * (lines.length - 1 - n), fill: colour(line.style),
          },
          value: (_plot, _value, _series, at) => valueText(drawn.chart, drawn.chart.lines[n].values[at]),
        })),
      ],
    };
  };

  const draw = (place, chart) => {
    const names = JSON.stringify(chart.lines.map((line) => line.label));
    const known = charts.get(place);
    if (known && known.names === names) {
      known.chart = chart;
      known.plot.setData(columns(chart));
      return;
    }
    if (known) known.plot.destroy();
    place.classList.add("drawn");
    const drawn = { names, chart };
    charts.set(place, drawn);
    drawn.plot = new uPlot(options(drawn, place), columns(chart), place);
  };

  const drawAll = (root) => {
    for (const place of root.querySelectorAll("[data-chart]")) {
      if (!charts.has(place)) draw(place, JSON.parse(place.dataset.values));
    }
  };

  const redraw = () => {
    // Iterates over a copy: redrawing a chart appends it to the map, so iterating over the map itself would never end.
    for (const [place, { plot, chart }] of [...charts]) {
      plot.destroy();
      charts.delete(place);
      draw(place, chart);
    }
  };

  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let resizing;
  window.addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(redraw, 150); });

  return { draw, drawAll };
})();
