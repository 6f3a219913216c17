// Draws the charts of plotly in the colours of the page, again when it turns dark, light, or to paper.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const template = isDark => {
    const [ink, line, panel] = isDark ? ["#e6e8eb", "#2d3239", "#1b1e23"] : ["#1d2127", "#e3e5e8", "#ffffff"];
    const axis = {gridcolor: line, linecolor: line, zerolinecolor: line, zerolinewidth: 1, automargin: true};
    return {layout: {
      font: {family: "system-ui, Segoe UI, Roboto, DejaVu Sans, sans-serif", size: 13, color: ink},
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", xaxis: axis, yaxis: axis,
      margin: {l: 60, r: 24, t: 40, b: 50}, title: {font: {size: 15}, x: 0, xref: "paper"},
      colorway: isDark ? ["#56b4e9", "#f08a4b", "#2fc79a", "#e0a0c4", "#e6b03c", "#8fb6ff", "#b294f0", "#c9a08f"]
                       : ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#c98a00", "#3d9bd6", "#7f4fc9", "#8c564b"],
      hoverlabel: {bgcolor: panel, bordercolor: line, font: {color: ink}, align: "left"},
      modebar: {bgcolor: "rgba(0,0,0,0)", color: isDark ? "#68707b" : "#a4abb3", activecolor: ink},
      legend: {bgcolor: "rgba(0,0,0,0)"}
    }};
  };
  const config = {responsive: true, displaylogo: false, showSendToCloud: false, showEditInChartStudio: false};
  const draw = isDark => {
    for (const place of document.querySelectorAll(".chart")) {
      place.figure ??= JSON.parse(place.querySelector("script").textContent);
      const {data, layout} = place.figure;
      Plotly.react(place, data, {...layout, autosize: true, template: template(isDark)}, config);
    }
  };
  draw(dark.matches);
  dark.addEventListener("change", () => draw(dark.matches));
  addEventListener("beforeprint", () => draw(false));
  addEventListener("afterprint", () => draw(dark.matches));
})();
