"""The algebra of labels, checked position by position against what a label means."""

from __future__ import annotations

import random

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from rebasin_edu.symmetry.axis_structure import Concat, Interleaved, Leaf, Product
from rebasin_edu.symmetry.labels import (
    ONE,
    Atom,
    atoms,
    chunks,
    concat,
    cut,
    fix,
    fresh,
    interleaved,
    is_chunked,
    new_ages,
    normal,
    product,
    split,
)
from rebasin_edu.symmetry.nested_groups import parent_groups
from rebasin_edu.symmetry.pieces import boxes
from rebasin_edu.symmetry.unification import deinterleave, factor, unify


def positions(label) -> list[tuple]:
    """For each position of an axis its coordinates: the unit of every atom it belongs to."""
    label = normal(label)
    if isinstance(label, Atom):
        return [((label, unit),) for unit in range(label.size)]
    parts = [positions(part) for part in label.parts]
    if isinstance(label, Concat):
        return [position for part in parts for position in part]
    if isinstance(label, Interleaved):
        return [part[unit] for unit in range(parts[0].__len__()) for part in parts]
    found = [()]
    for part in parts:
        found = [outer + inner for outer in found for inner in part]
    return found


def label(rng: random.Random, size: int, depth: int = 3):
    """A random label of a size."""
    kinds = ["atom"]
    if depth and size > 1:
        kinds += ["concat", "concat"]
        if divisors := [d for d in range(2, size) if size % d == 0]:
            kinds += ["product", "product", "interleaved"]
    kind = rng.choice(kinds)
    if kind == "concat":
        at = rng.randrange(1, size)
        return concat([label(rng, at, depth - 1), label(rng, size - at, depth - 1)])
    if kind == "product":
        inner = rng.choice(divisors)
        return product([label(rng, size // inner, depth - 1), label(rng, inner, depth - 1)])
    if kind == "interleaved":
        count = rng.choice(divisors)
        return interleaved([label(rng, size // count, depth - 1) for _ in range(count)])
    return fresh(size)


randoms = st.randoms(use_true_random=False)
sizes = st.sampled_from([2, 3, 4, 6, 8, 12, 24])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(randoms, sizes)
def test_unified_labels_mean_the_same(rng, size):
    a, b = label(rng, size), label(rng, size)
    unify(a, b)
    for mine, theirs in zip(positions(a), positions(b)):
        mine = {pair for pair in mine if not pair[0].reason}
        theirs = {pair for pair in theirs if not pair[0].reason}
        assert mine == theirs


@settings(max_examples=300, deadline=None, derandomize=True)
@given(randoms, sizes, st.data())
def test_a_cut_loses_no_position(rng, size, data):
    whole = label(rng, size)
    at = data.draw(st.integers(0, size))
    left, right = cut(whole, at)
    assert (left.size, right.size) == (at, size - at)
    assert positions(left) + positions(right) == positions(whole)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(randoms, st.sampled_from([4, 6, 8, 12, 24]), st.data())
def test_factors_and_interleaved_parts_multiply_back(rng, size, data):
    whole = label(rng, size)
    count = data.draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0]))
    kind = data.draw(st.sampled_from(["factor", "chunks", "deinterleave"]))
    if kind == "factor":
        outer, inner = factor(whole, (count, size // count))
        again = product([normal(outer), normal(inner)])
    elif kind == "chunks":
        again = concat([normal(row) for row in chunks(whole, count)])
    else:
        again = interleaved([normal(part) for part in deinterleave(whole, count)])
    for mine, theirs in zip(positions(again), positions(whole)):
        free = [{pair for pair in one if not pair[0].reason} for one in (mine, theirs)]
        assert free[0] == free[1]


def test_refine_before_you_fix():
    a = fresh(12)
    unify(a, concat([fresh(5), fresh(7)]))
    assert sorted(atom.size for atom in atoms(normal(a))) == [5, 7]
    b = fresh(12)
    unify(b, product([fresh(3), fresh(4)]))
    assert [atom.size for atom in atoms(normal(b))] == [3, 4]
    unify(a, b)  # 5 = 4 + 1, so the rows are single and the columns are cut after 1
    assert not any(atom.reason for atom in atoms(normal(a)))


def test_what_is_fixed_keeps_its_first_reason_and_hands_it_on():
    a, b = fresh(6, "because of the first"), fresh(6)
    unify(b, concat([fresh(2), fresh(4)]))
    unify(a, b)
    fix(a, "because of the second")
    assert {atom.reason for atom in atoms(normal(b))} == {"because of the first"}


def test_factors_that_do_not_fit_are_fixed():
    a, b = product([fresh(4), fresh(6)]), product([fresh(9), fresh(8)])
    with pytest.raises(ValueError, match="sizes 24 and 72"):
        unify(a, b)
    c = product([fresh(6), fresh(4)])
    d = product([fresh(4), fresh(6)])
    unify(c, d)
    assert all(atom.reason for atom in atoms(normal(c)))


def test_normal_forms():
    a, b = fresh(3), fresh(4)
    assert product([a, ONE]) is a
    assert concat([a]) is a
    assert fresh(1) is ONE
    assert product([product([a, b]), a]) == Product((a, b, a))
    assert concat([concat([a, b]), a]) == Concat((a, b, a))
    assert interleaved([ONE, ONE]) == Concat((ONE, ONE))
    assert is_chunked(concat([a, a]), 2)
    assert not is_chunked(concat([a, b]), 7)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(randoms, sizes)
def test_boxes_cover_every_position_once(rng, size):
    def leafed(one):
        if isinstance(one, Atom):
            return Leaf(str(one.number), one.size)
        return type(one)(tuple(leafed(part) for part in one.parts))

    found = []
    for box in boxes(leafed(label(rng, size))):
        entries = [box.offset]
        for leaf, stride in zip(box.leaves, box.strides):
            entries = [entry + unit * stride for entry in entries for unit in range(leaf.size)]
        found += entries
    assert sorted(found) == list(range(size))


# ------------------------------------------------------------------------------------------
# nested groups


def test_a_parent_must_be_there_always_and_once():
    head, width, other = Atom(3), Atom(4), Atom(5)
    batch = Atom(2, "input")
    alone = (other,)
    tensors = [(product([head, width]), other), (batch, head, width), alone]
    free = {head, width, other}
    assert parent_groups(tensors, free) == {width: (head,)}
    assert parent_groups([*tensors, (width,)], free) == {head: (width,)}
    assert parent_groups([*tensors, (width,), (head,)], free) == {}
    twice = (head, head, width)  # which of the two heads is meant?
    assert width not in parent_groups([*tensors, twice], free)


def test_parents_of_parents_are_parents():
    a, b, c = Atom(2), Atom(3), Atom(4)
    found = parent_groups([(a,), (a, b), (a, b, c)], {a, b, c})
    assert found == {b: (a,), c: (a, b)}


def test_a_fixed_axis_may_be_a_parent():
    position, unit = Atom(3, "belong to the model's input"), Atom(4)
    assert parent_groups([(position, unit), (Atom(2, "input"), position, unit)], {unit}) == {
        unit: (position,)
    }


# ------------------------------------------------------------------------------------------
# many pieces, and ages


@pytest.mark.parametrize("nested", [False, True])
def test_an_axis_of_many_units_is_cut_without_recursion(nested):
    whole = concat([fresh(600), fresh(1400)]) if nested else fresh(2000)
    assert len(chunks(whole, 2000)) == 2000
    assert normal(whole).size == 2000
    assert not list(atoms(normal(whole)))


def test_the_pieces_of_a_split_are_the_positions_in_order():
    whole = concat([product([fresh(4), fresh(3)]), interleaved([fresh(5), fresh(5)]), fresh(2)])
    pieces = split(whole, [5, 9, 4, 6])
    assert [piece.size for piece in pieces] == [5, 9, 4, 6]
    assert [one for piece in pieces for one in positions(piece)] == positions(whole)


def test_ages_count_from_zero_in_each_propagation():
    new_ages()
    assert [Atom(2).number, Atom(2).number] == [0, 1]
    new_ages()
    assert Atom(2).number == 0


def test_a_parent_that_stands_twice_in_one_axis_is_no_parent():
    """A reshape that mixes two axes with the same parent sees both in one axis for a moment."""
    place, unit = Atom(2, "fixed"), Atom(4)
    clear = [(place, unit), (product([place, unit]),)]
    assert parent_groups(clear, {unit}) == {unit: (place,)}
    assert parent_groups([*clear, (product([place, unit, place]),)], {unit}) == {}
