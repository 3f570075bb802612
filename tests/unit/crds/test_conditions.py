import pytest
from pydantic import ValidationError

from cooper_crds.conditions import (
    MAX_CONDITIONS,
    MAX_MESSAGE,
    OURS,
    Condition,
    drop_conditions,
    find_condition,
    set_condition,
)

T1, T2 = "2030-01-31T12:00:00Z", "2030-01-31T12:00:05Z"


def ready(status="False", reason="Waiting", message="wait", since=T1, generation=1):
    return Condition(
        type="Ready",
        status=status,
        reason=reason,
        message=message,
        last_transition_time=since,
        observed_generation=generation,
    )


OTHER = Condition(type="Other", status="True", reason="Fine", message="", last_transition_time=T1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [ready("True", "Served", "served", T2, 2)]),
        ([ready()], [ready("True", "Served", "served", T2, 2)]),
        ([ready("True")], [ready("True", "Served", "served", T1, 2)]),
        ([ready("True", "Served", "served", T1, 2)], [ready("True", "Served", "served", T1, 2)]),
        ([ready("Unknown"), OTHER], [ready("True", "Served", "served", T2, 2), OTHER]),
        ([OTHER], [OTHER, ready("True", "Served", "served", T2, 2)]),
    ],
    ids=["new", "changed", "other-reason", "same", "in-place", "at-the-end"],
)
def test_the_time_moves_only_with_the_status(before, after):
    given = list(before)
    assert set_condition(before, "Ready", "True", "Served", "served", T2, 2) == after
    assert before == given


def test_an_endless_message_is_cut():
    (condition,) = set_condition([], "Ready", "False", "Failed", "x" * (MAX_MESSAGE + 1), T1, 1)
    assert len(condition.message) == MAX_MESSAGE


@pytest.mark.parametrize(
    ("type_", "status", "reason", "now"),
    [
        ("Ready", "False", "not a reason", T1),
        ("Ready", "False", "", T1),
        ("Ready", "Maybe", "Fine", T1),
        ("Re ady", "True", "Fine", T1),
        ("Ready", "True", "Fine", "now"),
    ],
)
def test_what_is_no_condition(type_, status, reason, now):
    with pytest.raises(ValidationError):
        set_condition([], type_, status, reason, "", now, 1)


def test_finding_and_dropping():
    assert find_condition([OTHER, ready()], "Ready") == ready()
    assert find_condition([OTHER], "Ready") is None
    assert drop_conditions([OTHER, ready()], "Other") == [ready()]


def test_conditions_of_others_leave_room_for_ours() -> None:
    found: list[Condition] = []
    for number in range(MAX_CONDITIONS):
        found = set_condition(found, f"Their{number}", "True", "Reason", "", T1, 1)
    for type_ in sorted(OURS):
        found = set_condition(found, type_, "False", "Reason", "", T1, 1)
    kept = [f"Their{number}" for number in range(MAX_CONDITIONS - len(OURS))]
    assert [each.type for each in found] == [*kept, *sorted(OURS)]
    assert set_condition(found, "Ready", "False", "Reason", "", T1, 1) == found
