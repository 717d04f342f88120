"""The grades' hierarchy."""

from edge_agent.grades import GRADES, Grade


def test_order_is_the_class_order() -> None:
    assert [g.value for g in GRADES] == [
        "fresh_clean",
        "fresh_trash",
        "burn_clean",
        "burn_trash",
        "undefined",
    ]


def test_hierarchy_rebuilds_every_sugarcane_grade() -> None:
    for grade in GRADES:
        if grade.is_burnt is None or grade.has_trash is None:
            assert grade is Grade.UNDEFINED
            assert not grade.is_sugarcane
        else:
            assert Grade.of(burnt=grade.is_burnt, trash=grade.has_trash) is grade


def test_every_grade_has_its_own_thai_name() -> None:
    assert len({grade.thai for grade in GRADES}) == len(GRADES)
