"""How cost grows: `python -m benchmarks.growth --out docs/growth.png [--json FILE]`.

Four plots: the renderer against Gaussians, pixels and cameras; `status` and a finished second run against
subjects.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from benchmarks import splat_growth, startup

Curves = dict[str, dict[str, list[tuple[float, float]]]]  # panel -> curve -> (x, milliseconds)


def subjects(quick: bool) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds of `status` and of a finished second run by number of subjects."""
    results = startup.measure(quick=quick)
    curves: dict[str, list[tuple[float, float]]] = {"status": [], "second run, all fresh": []}
    for name, entry in results.items():
        for prefix, label in (
            ("startup_status_", "status"),
            ("startup_second_run_", "second run, all fresh"),
        ):
            if name.startswith(prefix):
                curves[label].append((float(name.removeprefix(prefix)), entry["median_ms"]))
    return curves


def draw(panels: Curves, out: Path) -> None:
    """One log-log panel a quantity, with a dotted line of slope 1 through each curve's last point."""
    figure, axes = plt.subplots(
        1, len(panels), figsize=(3.1 * len(panels), 2.9), squeeze=False, layout="constrained"
    )
    for axis, (title, curves) in zip(axes[0], panels.items(), strict=True):
        for label, points in curves.items():
            x, y = zip(*sorted(points), strict=True)
            (line,) = axis.loglog(x, y, marker=".", linewidth=1.3, label=label)
            axis.loglog(
                x,
                [y[-1] * value / x[-1] for value in x],
                linestyle=":",
                linewidth=0.9,
                color=line.get_color(),
                alpha=0.6,
            )
        axis.set_xlabel(title)
        places = sorted({value for points in curves.values() for value, _ in points})[::2]
        axis.set_xticks(
            places, [f"{value / 1000:.0f}k" if value >= 5000 else f"{value:.0f}" for value in places]
        )
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=7)
    axes[0][0].set_ylabel("milliseconds (dotted: proportional)")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    panels: dict[str, Any] = {**splat_growth.growth(), "subjects": subjects(options.quick)}
    if options.json:
        options.json.write_text(json.dumps(panels, indent=1) + "\n")
    draw(panels, options.out)


if __name__ == "__main__":
    main()
