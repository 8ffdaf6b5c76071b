"""A spec as a table that can be read: the groups, where they occur, what stays and why."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .axis_structure import Leaf, Term, leaves
from .permutation import Group

HEADER = ("group", "units", "orders", "log10", "where it occurs")
Rows = Sequence[tuple[str, ...]]
PLACES, REASONS = 3, 12  # how many occurrences and reasons are spelled out; the rest is counted


@dataclass(frozen=True)
class Description:
    """What ``PermutationSpec.describe`` gives: text when printed, a table in a notebook."""

    rows: tuple[tuple[str, ...], ...]  # one for each group, in the columns of HEADER
    summary: str
    fixed: tuple[tuple[str, str], ...]  # (what stays where it is, why)
    left_out: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        table = (HEADER, *self.rows)
        widths = [max(map(len, column)) for column in zip(*table)]
        lines = [
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip()
            for row in table
        ]
        lines = [lines[0], "─" * len(lines[0]), *lines[1:], "", self.summary]
        for title, entries in (("stays where it is", self.fixed), ("left out", self.left_out)):
            if entries:
                lines += ["", f"{title}:", *(f"  {what}: {why}" for what, why in entries)]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        shown = [_html_table(HEADER, self.rows), f"<p>{html.escape(self.summary)}</p>"]
        shown += [_html_table(("stays where it is", "why"), self.fixed)] if self.fixed else []
        shown += [_html_table(("left out", "why"), self.left_out)] if self.left_out else []
        return "\n".join(shown)


def describe(
    axes: Mapping[str, tuple[Term, ...]],
    groups: Mapping[str, Group],
    leaf_of: Mapping[str, Leaf],
    left_out: Mapping[str, str],
) -> Description:
    """Return the table of a spec; see ``PermutationSpec`` for its parts."""
    rows = tuple(_row(group, leaf_of) for group in groups.values())
    moved = sum(
        any(not leaf.fixed for term in terms for leaf in leaves(term)) for terms in axes.values()
    )
    log10 = sum(map(_log10, groups.values()))
    summary = (
        f"{len(groups)} group{'s' * (len(groups) != 1)} in {moved} of {len(axes)} tensors: "
        f"10^{log10:.1f} networks that compute the same function"
    )
    unused = list(left_out.items())
    if len(unused) > REASONS:
        unused = [*unused[:REASONS], (f"{len(unused) - REASONS} more", unused[-1][1])]
    return Description(rows, summary, tuple(_fixed(leaf_of)), tuple(unused))


def _log10(group: Group) -> float:
    return group.copies * math.lgamma(group.size + 1) / math.log(10)


def _row(group: Group, leaf_of: Mapping[str, Leaf]) -> tuple[str, ...]:
    where = ", ".join(f"{name} axis {axis}" for name, axis in group.occurrences[:PLACES])
    if len(group.occurrences) > PLACES:
        where += f", and {len(group.occurrences) - PLACES} more"
    orders = "1"
    if group.parents:
        parents = (leaf_of[parent] for parent in group.parents)
        names = (f"{p.size} fixed positions" if p.fixed else p.name for p in parents)
        orders = f"{group.copies} (one for each of {' × '.join(names)})"
    return group.name, str(group.size), orders, f"{_log10(group):.1f}", where


def _fixed(leaf_of: Mapping[str, Leaf]) -> list[tuple[str, str]]:
    """One line for each reason, those that are not a matter of course first."""
    together: dict[str, list[Leaf]] = {}
    for leaf in leaf_of.values():
        if leaf.reason and leaf.size > 1:
            together.setdefault(leaf.reason.text, []).append(leaf)

    def rank(text: str) -> tuple[bool, int]:
        return all(x.reason is not None and x.reason.expected for x in together[text]), -len(
            together[text]
        )

    order = sorted(together, key=rank)
    lines = []
    for text in order[:REASONS]:
        first, count = together[text][0], len(together[text])
        where = (first.reason.tensor if first.reason else "") or first.name.removeprefix("fixed: ")
        lines.append((where + (f", and {count - 1} more" if count > 1 else ""), text))
    if rest := sum(len(together[text]) for text in order[REASONS:]):
        lines.append((f"{rest} more", "other reasons"))
    return lines


def _html_table(header: tuple[str, ...], rows: Rows) -> str:
    def line(tag: str, cells: tuple[str, ...]) -> str:
        inside = (f'<{tag} style="text-align:left">{html.escape(cell)}</{tag}>' for cell in cells)
        return f"<tr>{''.join(inside)}</tr>"

    body = "".join(line("td", row) for row in rows)
    return f"<table><thead>{line('th', header)}</thead><tbody>{body}</tbody></table>"
