"""Near copies: found, counted, and told of whom; never more than are there."""

import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferbuild.filters.copies import SHINGLE, _alike, _signatures, near_copies

WORDS = [f"word{at}" for at in range(3000)]
MEASURE = """
import random, resource, sys, time
from ferbuild.filters.copies import near_copies
count, rng = int(sys.argv[1]), random.Random(0)
said = [" ".join(f"word{rng.randrange(3000)}" for _ in range(18)) for _ in range(3000)]
template = [f"word{at}" for at in range(150)]

def texts():
    for at in range(count):
        if at % 10:
            yield f"{at:08d}/source/split/{at}", " ".join(rng.choices(said, k=8))
        else:
            template[rng.randrange(150)] = f"other{at}"
            yield f"{at:08d}/source/split/{at}", " ".join(template)

before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
dropped = near_copies(texts())
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(time.process_time() - began, (after - before) / 1024, len(dropped), all(int(k[:8]) % 10 == 0 for k in dropped))
"""


def written(rng, count=150):
    return rng.choices(WORDS, k=count)


def changed(text, rng, words):
    """Return the words with so many of them, far from each other, written anew."""
    new = list(text)
    step = len(text) // words if words else 1
    for at in range(words):
        new[at * step + 1] = f"new{rng.random()}"
    return new


def shingles(words):
    return {*zip(*(words[at:] for at in range(SHINGLE)), strict=False)}


def template(count, *, words, seed=0):
    """Return (id, text) of fill-ins of one template."""
    rng = random.Random(seed)
    base = written(rng)
    return [(f"t{at:04d}", " ".join(changed(base, rng, words))) for at in range(count)]


def varied(count, seed=1):
    rng = random.Random(seed)
    return [(f"v{at:04d}", " ".join(written(rng))) for at in range(count)]


def test_of_one_text_the_first_twenty_stay_and_the_rest_names_the_first():
    texts = [(f"{at:03d}", "The brows are raised and the mouth is open.") for at in range(100)]
    assert near_copies(texts) == {f"{at:03d}": "000" for at in range(20, 100)}
    assert near_copies(texts, most=99) == {"099": "000"}
    assert near_copies(texts, most=100) == {}


def test_texts_that_differ_stay():
    assert near_copies(varied(2000), most=1) == {}


def test_fill_ins_of_a_template_go_and_what_stands_between_stays():
    mixed = [one for pair in zip(template(300, words=2), varied(300), strict=True) for one in pair]
    dropped = near_copies(mixed)
    assert list(dropped) == [f"t{at:04d}" for at in range(20, 300)]
    assert set(dropped.values()) == {"t0000"}


@pytest.mark.parametrize(("words", "least", "most"), [(1, 200, 200), (3, 190, 200), (16, 0, 0), (30, 0, 0)])
def test_only_what_shares_four_fifths_of_its_shingles_is_a_copy(words, least, most):
    """Of 148 shingles a changed word takes three: where three words differ, two texts share 139 of 157, Jaccard .89."""
    rng = random.Random(5)
    base = written(rng)
    texts = [("base", " ".join(base))] + [(str(at), " ".join(changed(base, rng, words))) for at in range(200)]
    assert least <= len(near_copies(texts, most=1)) <= most


def test_letter_case_and_punctuation_do_not_make_another_text():
    texts = [
        ("a", "The brows, are RAISED: and (the mouth) is open!"),
        ("b", "the brows are raised and the mouth is open"),
    ]
    assert near_copies(texts, most=1) == {"b": "a"}


def test_clusters_are_counted_by_themselves_and_in_the_order_given():
    one, other = template(30, words=1, seed=3), template(30, words=1, seed=4)
    texts = [
        (f"{name}{at}", text)
        for at, pair in enumerate(zip(one, other, strict=True))
        for name, (_, text) in zip("xy", pair, strict=True)
    ]
    dropped = near_copies(texts, most=25)
    assert dropped == {f"{name}{at}": f"{name}0" for at in range(25, 30) for name in "xy"}


def test_one_that_is_far_from_the_first_names_a_copy_that_it_is_near():
    """A chain: each is near the one before, the last is not near the first."""
    rng = random.Random(2)
    texts, said = [], written(rng)
    for at in range(12):
        texts.append((f"c{at:02d}", " ".join(said)))
        said[at * 10 : at * 10 + 3] = [f"new{at}a", f"new{at}b", f"new{at}c"]
    dropped = near_copies(texts, most=1)
    sets = {name: shingles(text.split()) for name, text in texts}
    assert len(dropped) == 11
    assert dropped["c11"] != "c00"
    for name, near in dropped.items():
        assert len(sets[name] & sets[near]) / len(sets[name] | sets[near]) > 0.7


@pytest.mark.parametrize("text", ["", " \n", "...", "<>"])
def test_texts_without_words_are_nobodys_copies(text):
    assert near_copies([(str(at), text) for at in range(50)], most=1) == {}


def test_short_texts_are_compared_by_what_there_is():
    texts = [("a", "happy"), ("b", "happy"), ("c", "sad"), ("d", "happy face"), ("e", "happy face"), ("f", "Sad.")]
    assert near_copies(texts, most=1) == {"b": "a", "e": "d", "f": "c"}


def test_nothing_is_nothing():
    assert near_copies([]) == {}
    assert near_copies([("a", "happy")], most=1) == {}


def test_a_generator_is_read_once_and_the_result_is_the_same_every_time():
    texts = template(700, words=2) + varied(300)
    assert near_copies(iter(texts)) == near_copies(texts)
    assert len(near_copies(texts)) == 680


@pytest.mark.parametrize("shared", [0.5, 0.8, 0.95])
def test_signatures_estimate_the_jaccard(shared):
    """Over 300 pairs the mean is right within .02, and one pair within four deviations."""
    rng = random.Random(7)
    texts, true = [], []
    for at in range(300):
        base = written(rng)
        other = base[: round(len(base) * shared)] + written(rng, len(base) - round(len(base) * shared))
        one, two = shingles(base), shingles(other)
        true.append(len(one & two) / len(one | two))
        texts += [(f"{at}a", " ".join(base)), (f"{at}b", " ".join(other))]
    found = _alike(_signatures(texts).signatures, np.arange(0, 600, 2), np.arange(1, 600, 2))
    off = found - np.array(true)
    assert abs(off.mean()) < 0.02
    assert np.abs(off).max() < 0.25


# The first draw of a checkout makes the table of all letters, which takes a second on a busy machine.
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(alphabet="ab \n.é惊", max_size=12), max_size=40), st.integers(1, 4))
def test_what_is_dropped_has_enough_copies_before_it(texts, most):
    named = [(str(at), text) for at, text in enumerate(texts)]
    dropped = near_copies(named, most=most, jaccard=1.0)
    same = {}
    for name, text in named:
        words = "".join(c if c.isalnum() else " " for c in text.casefold()).split()
        words += [words[-1]] * (SHINGLE - len(words)) if words else []
        same.setdefault(frozenset(shingles(words)), []).append(name)
    same.pop(frozenset(), None)
    assert dropped == {name: names[0] for names in same.values() for name in names[most:]}


def test_time_and_memory_of_a_tenth_of_what_is_to_be_managed():
    """36,000 texts of 144 words: a tenth of 360,000, in a tenth of a minute and of the memory."""
    done = subprocess.run([sys.executable, "-c", MEASURE, "36000"], capture_output=True, text=True, check=True)
    seconds, megabytes, dropped, templated = done.stdout.split()
    assert (int(dropped), templated) == (3580, "True")
    assert float(seconds) < 12  # 2.5 on a quiet core
    assert float(megabytes) < 60
