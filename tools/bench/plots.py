# SPDX-License-Identifier: GPL-2.0
"""Plots of a run, by gnuplot."""

import pathlib
import re
import subprocess

STYLE = '''
set terminal pngcairo size 1200,{height} font "sans,11"
set output "{output}"
set border 3
set grid {grid} linecolor "#dddddd"
set tics nomirror
'''

# Each scenario as a bar, one plot for each point.
BARS = '''
set title "{title}"
set xrange [0:*]
set yrange [-0.7:{last}]
set ytics ()
set style fill solid 0.8 noborder
set lmargin 30
unset key
$data << EOD
{data}
EOD
plot $data using ($2*0.5):0:($2*0.5):(0.35):3:ytic(1) with boxxyerror linecolor rgb variable, \\
     $data using 2:0:(sprintf(" %.0f", $2)) with labels left notitle
'''

# How the cost grows with something, one line for each scenario.
GROWTH = '''
set title "{title}"
set xlabel "{xlabel}"
set logscale x
set yrange [0:*]
set key outside right
{blocks}
plot {curves}
'''

OURS, PEERS = '0x1f77b4', '0x999999'


def _gnuplot(script):
    subprocess.run(['gnuplot'], input=script, text=True, check=True)


def _colour(scenario):
    return OURS if scenario.startswith('divert') else PEERS


def _bars(rows, title, path):
    """rows: [(scenario, value)]"""
    rows = [(s, v) for s, v in rows if v is not None and '+' not in s]
    if not rows:
        return
    rows.sort(key=lambda row: -row[1])
    data = '\n'.join(f'"{s}" {v:.0f} {_colour(s)}' for s, v in rows)
    _gnuplot(STYLE.format(height=140 + 26 * len(rows), output=path, grid='xtics')
             + BARS.format(title=title, last=len(rows) - 0.3, data=data))


def _unit(point):
    return 'MiB' if point == 'tcp' else 'packet'


def _costs(run, folder):
    for point in run.points:
        _bars([(s, run.added(s, point)) for s in run.scenarios if s != 'fwd'],
              f'{point}: instructions per {_unit(point)} beyond plain forwarding',
              folder / f'{point}.png')


def _rates(run, folder):
    for point in run.points:
        _bars([(s, run.value(s, point, 'rate')) for s in run.scenarios],
              f'{point}: {_unit(point)}s per second',
              folder / f'{point}-rate.png')


def _curves(run, extra, point):
    """{scenario: [(n, cost)]} of scenarios named scenario+extraN."""
    curves = {}
    for name in run.scenarios:
        match = re.fullmatch(rf'(.*)\+{extra}(\d+)', name)
        cost = run.value(name, point)
        if match and cost is not None:
            curves.setdefault(match[1], []).append((int(match[2]), cost))
    for scenario, points in curves.items():
        alone = run.value(scenario, point)
        if alone is not None:
            points.append((1, alone))
        points.sort()
    return curves


def _growth(run, extra, xlabel, path):
    curves = _curves(run, extra, 'udp-64-64')
    if not curves:
        return
    blocks = '\n'.join(f'$c{i} << EOD\n' + '\n'.join(f'{n} {c:.0f}' for n, c in points) + '\nEOD'
                       for i, points in enumerate(curves.values()))
    plot = ', '.join(f'$c{i} with linespoints linewidth 2 title "{s}"'
                     for i, s in enumerate(curves))
    _gnuplot(STYLE.format(height=600, output=path, grid='ytics') + GROWTH.format(
        title='64 bytes of UDP, 64 packets in flight: instructions per packet', xlabel=xlabel,
        blocks=blocks, curves=plot))


def draw(run, folder):
    folder = pathlib.Path(folder)
    if not run.counted:
        _rates(run, folder)
        return
    _costs(run, folder)
    _growth(run, 'ports', 'bound ports', folder / 'ports.png')
    _growth(run, 'rules', 'rules', folder / 'rules.png')
