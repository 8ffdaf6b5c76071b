"""A spec as a table that can be read: the groups, where they occur, and what stays where it is and
why.
"""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from dataclasses import dataclass

from .axis_structure import leaves
from .spec import Group, PermutationSpec

HEADER = ("group", "units", "orders", "log10", "where it occurs")


@dataclass(frozen=True)
class Description:
    """What ``PermutationSpec.describe`` gives: text when printed, a table in a notebook."""

    rows: tuple[tuple[str, ...], ...]  # one for each group, in the columns of HEADER
    summary: str
    fixed: tuple[tuple[str, str], ...]  # (what stays where it is, why)
    left_out: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        widths = [max(len(row[k]) for row in (HEADER, *self.rows)) for k in range(len(HEADER))]
        lines = [
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip()
            for row in (HEADER, *self.rows)
        ]
        lines = [lines[0], "─" * len(lines[0]), *lines[1:], "", self.summary]
        for title, entries in (("stays where it is", self.fixed), ("left out", self.left_out)):
            lines += (
                ["", f"{title}:", *(f"  {what}: {why}" for what, why in entries)] if entries else []
            )
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def table(header: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
            def line(tag: str, cells: tuple[str, ...]) -> str:
                return (
                    "<tr>"
                    + "".join(
                        f'<{tag} style="text-align:left">{html.escape(cell)}</{tag}>'
                        for cell in cells
                    )
                    + "</tr>"
                )

            return f"<table><thead>{line('th', header)}</thead><tbody>{''.join(line('td', row) for row in rows)}</tbody></table>"

        shown = [table(HEADER, self.rows), f"<p>{html.escape(self.summary)}</p>"]
        shown += [table(("stays where it is", "why"), self.fixed)] if self.fixed else []
        shown += [table(("left out", "why"), self.left_out)] if self.left_out else []
        return "\n".join(shown)


def describe(spec: PermutationSpec, *, places: int = 3, reasons: int = 12) -> Description:
    """See ``PermutationSpec.describe``.

    Args:
        places: how many occurrences of a group are spelled out.
        reasons: how many reasons are; the rest is counted.
    """
    rows = tuple(_row(spec, group, places) for group in spec.groups.values())
    moved = sum(
        any(not leaf.fixed for term in terms for leaf in leaves(term))
        for terms in spec.axes.values()
    )
    count = len(spec.groups)
    summary = (
        f"{count} group{'s' * (count != 1)} in {moved} of {len(spec.axes)} tensors: "
        f"10^{spec.log10_symmetries():.1f} networks that compute the same function"
    )
    left_out = [*spec.left_out.items()]
    if len(left_out) > reasons:
        left_out = [*left_out[:reasons], (f"{len(left_out) - reasons} more", left_out[-1][1])]
    return Description(rows, summary, tuple(_fixed(spec, reasons)), tuple(left_out))


def _row(spec: PermutationSpec, group: Group, places: int) -> tuple[str, ...]:
    where = [f"{name} axis {axis}" for name, axis in group.occurrences]
    more = f", and {len(where) - places} more" if len(where) > places else ""
    orders = "1"
    if group.parents:
        orders = f"{group.copies} (one for each of {' × '.join(_name(spec, parent) for parent in group.parents)})"
    log10 = group.copies * math.lgamma(group.size + 1) / math.log(10)
    return group.name, str(group.size), orders, f"{log10:.1f}", ", ".join(where[:places]) + more


def _name(spec: PermutationSpec, parent: str) -> str:
    leaf = spec.leaves[parent]
    return f"{leaf.size} fixed positions" if leaf.fixed else parent


def _fixed(spec: PermutationSpec, most: int) -> list[tuple[str, str]]:
    """One line for each reason, those that are not a matter of course first."""
    examples: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for leaf in spec.leaves.values():
        if leaf.fixed and leaf.size > 1:
            found = re.match(
                r"(units .+?) (?=(?:belong|reach|are|meet|stay) )(.*)", str(leaf.reason)
            )
            what, why = (
                found.groups() if found else (leaf.name.removeprefix("fixed: "), str(leaf.reason))
            )
            examples.setdefault(why, what)
            counts[why] += 1
    usual = ("belong to", "are the positions of a kernel", "are the gates")
    order = sorted(counts, key=lambda why: (why.startswith(usual), -counts[why]))
    lines = [
        (examples[why] + (f", and {counts[why] - 1} more" if counts[why] > 1 else ""), why)
        for why in order[:most]
    ]
    if len(order) > most:
        lines.append((f"{sum(counts[why] for why in order[most:])} more", "other reasons"))
    return lines
