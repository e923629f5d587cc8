import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.filters.grounding import Checked, Claim, Counts, check_claims, count, read_claims
from ferbuild.filters.units import Judged, judge_truth

PRESENT, ABSENT = Judged("present"), Judged("absent")
UNCLEAR, TURNED, RAW = Judged("unknown", "unclear"), Judged("unknown", "turned"), Judged("unknown", "not calibrated")


def claim(*units, need="any", side="", negated=False):
    return Claim("said", 0, 4, units, need, "mouth", "raised", side, "", negated)


def verdict(one, **judged):
    """Check one claim against judgements by unit, AU2_left standing for AU2.left."""
    (checked,) = check_claims([one], {name.replace("_", "."): state for name, state in judged.items()})
    return checked.verdict, checked.why


SUPPORTED, CONTRADICTED = ("supported", ""), ("contradicted", "")


@pytest.mark.parametrize(
    ("first", "second", "any_of", "all_of"),
    [
        (PRESENT, PRESENT, "supported", "supported"),
        (PRESENT, ABSENT, "supported", "contradicted"),
        (PRESENT, UNCLEAR, "supported", "unclear"),
        (ABSENT, ABSENT, "contradicted", "contradicted"),
        (ABSENT, UNCLEAR, "unclear", "contradicted"),
        (UNCLEAR, TURNED, "turned", "turned"),
        (RAW, UNCLEAR, "unclear", "unclear"),
    ],
)
def test_any_and_all_and_what_negation_makes_of_them(first, second, any_of, all_of):
    turned = {"supported": "contradicted", "contradicted": "supported"}
    for need, expected in (("any", any_of), ("all", all_of)):
        for negated in (False, True):
            one = claim("AU1", "AU4", need=need, negated=negated)
            told, why = verdict(one, AU1=first, AU4=second)
            if expected in turned:
                assert (told, why) == (turned[expected] if negated else expected, "")
            else:
                assert (told, why) == ("not judged", expected)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (
            PRESENT,
            PRESENT,
            {"left": SUPPORTED, "right": SUPPORTED, "one": CONTRADICTED, "either": SUPPORTED, "both": SUPPORTED},
        ),
        (
            PRESENT,
            ABSENT,
            {"left": SUPPORTED, "right": CONTRADICTED, "one": SUPPORTED, "either": ("not judged", "unclear")}
            | {"both": CONTRADICTED},
        ),
        (
            ABSENT,
            ABSENT,
            dict.fromkeys(("left", "right", "one", "either", "both"), CONTRADICTED),
        ),
        (
            PRESENT,
            TURNED,
            {"left": SUPPORTED, "right": ("not judged", "turned"), "one": ("not judged", "turned")}
            | {"either": ("not judged", "turned"), "both": ("not judged", "turned")},
        ),
        (
            ABSENT,
            TURNED,
            {"left": CONTRADICTED, "one": ("not judged", "turned"), "either": ("not judged", "turned")}
            | {"both": CONTRADICTED},
        ),
    ],
)
def test_sides(left, right, expected):
    for side, told in expected.items():
        assert verdict(claim("AU12", side=side), AU12=PRESENT, AU12_left=left, AU12_right=right) == told


def test_a_unit_without_sides_takes_no_notice_of_them():
    for side in ("left", "right", "one", "either", "both", ""):
        assert verdict(claim("AU1", side=side), AU1=PRESENT) == SUPPORTED


def test_not_on_the_left_is_supported_where_only_the_right_shows():
    judged = {"AU2": PRESENT, "AU2_left": ABSENT, "AU2_right": PRESENT}
    assert verdict(claim("AU2", side="left", negated=True), **judged) == SUPPORTED
    assert verdict(claim("AU2", negated=True), **judged) == CONTRADICTED


@pytest.mark.parametrize("negated", [False, True])
def test_whose_left_it_is_matters_only_where_the_halves_differ(negated):
    one = claim("AU2", side="either", negated=negated)
    shown, hidden = (CONTRADICTED, SUPPORTED) if negated else (SUPPORTED, CONTRADICTED)
    assert verdict(one, AU2=PRESENT, AU2_left=PRESENT, AU2_right=PRESENT) == shown
    assert verdict(one, AU2=ABSENT, AU2_left=ABSENT, AU2_right=ABSENT) == hidden
    assert verdict(one, AU2=PRESENT, AU2_left=PRESENT, AU2_right=ABSENT) == ("not judged", "unclear")


@pytest.mark.parametrize("negated", [False, True])
def test_what_cannot_be_judged_says_why(negated):
    assert verdict(claim(negated=negated), AU12=PRESENT) == ("not judged", "no unit")
    assert verdict(claim("AU11", negated=negated), AU12=PRESENT) == ("not judged", "not calibrated")
    assert verdict(claim("AU12", side="left", negated=negated), AU12=PRESENT) == ("not judged", "not calibrated")


def test_counts():
    judged = {"AU12": PRESENT, "AU4": ABSENT}
    checked = check_claims([claim("AU12"), claim("AU4"), claim("AU4", negated=True), claim("AU9")], judged)
    assert [one.verdict for one in checked] == ["supported", "contradicted", "supported", "not judged"]
    assert count(checked) == Counts(supported=2, contradicted=1, not_judged=1)
    assert count([]) == Counts(0, 0, 0)


def test_a_rationale_against_a_face_that_is_known():
    smile = [{"unit": unit, "side": "both", "intensity": 0.8} for unit in ("AU6", "AU12")]
    text = (
        "<think>The corners of the mouth are pulled up and the cheeks are raised. The brows are not lowered, "
        "but the lips are pressed together, and there is tension around the eyes.</think><answer>happiness</answer>"
    )
    checked = check_claims(read_claims(text), judge_truth(smile))
    assert [(one.claim.units, one.verdict, one.why) for one in checked] == [
        (("AU12",), "supported", ""),
        (("AU6",), "supported", ""),
        (("AU4",), "supported", ""),
        (("AU24",), "contradicted", ""),
        ((), "not judged", "no unit"),
    ]


STATES = st.sampled_from([PRESENT, ABSENT, UNCLEAR, TURNED, RAW])
KEYS = ["AU1", "AU2", "AU2.left", "AU2.right", "AU12", "AU12.left", "AU12.right"]
CLAIMS = st.builds(
    claim,
    st.sampled_from(["AU1", "AU2", "AU12", "AU11"]),
    st.sampled_from(["AU1", "AU2", "AU12"]),
    need=st.sampled_from(["any", "all"]),
    side=st.sampled_from(["", "left", "right", "one", "either", "both"]),
    negated=st.booleans(),
)


@given(CLAIMS, st.dictionaries(st.sampled_from(KEYS), STATES))
def test_denying_turns_the_verdict_and_nothing_else(one, judged):
    (plain,), (denied,) = check_claims([one], judged), check_claims([one._replace(negated=not one.negated)], judged)
    turned = {"supported": "contradicted", "contradicted": "supported", "not judged": "not judged"}
    assert denied.verdict == turned[plain.verdict]
    assert denied.why == plain.why
    assert bool(plain.why) == (plain.verdict == "not judged")
    assert isinstance(plain, Checked)


@given(CLAIMS, st.dictionaries(st.sampled_from(KEYS), STATES))
def test_knowing_more_never_turns_a_verdict(one, judged):
    (before,) = check_claims([one], judged)
    for state in (PRESENT, ABSENT):
        known = {key: judged.get(key, state) for key in KEYS}
        known = {key: state if value.state == "unknown" else value for key, value in known.items()}
        (after,) = check_claims([one], known)
        assert before.verdict in (after.verdict, "not judged")
