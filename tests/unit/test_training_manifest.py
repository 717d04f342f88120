"""The manifest: what is accepted, what is refused and how it says so."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge_agent.grades import GRADES, Grade
from training.data import moments
from training.data.cli import app
from training.data.dataset import Dataset
from training.data.description import Description
from training.data.labels import label, majority
from training.data.manifest import Manifest, tidied
from training.data.merge import merge
from training.data.thin import thin
from training.errors import DataError

HEADER = "image,truck,captured_at,station,split,grade,vote_1,vote_2,vote_3,plate\n"
GOOD = (
    "a.png,T1,2026-01-05T03:00:00+00:00,S1,,fresh_clean,fresh_clean,fresh_clean,burn_clean,60-1\n"
)


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.csv").write_text(text, "utf-8")
    return folder


def test_reads_votes_and_keeps_unknown_columns(tmp_path: Path) -> None:
    manifest = Manifest.read(write(tmp_path, HEADER + GOOD))
    assert manifest.rows[0].votes == (Grade.FRESH_CLEAN, Grade.FRESH_CLEAN, Grade.BURN_CLEAN)
    manifest.with_splits(["val"]).write()
    again = Manifest.read(tmp_path)
    assert again.rows[0].split == "val"
    assert again.cells[0]["plate"] == "60-1"


def test_what_others_have_written_meanwhile_is_not_lost(tmp_path: Path) -> None:
    manifest = Manifest.read(write(tmp_path, HEADER + GOOD))
    write(tmp_path, HEADER + GOOD.replace("60-1", "60-2"))
    with pytest.raises(DataError, match=r"has been changed meanwhile, .*; run this command again"):
        manifest.with_splits(["val"]).write()
    assert Manifest.read(tmp_path).cells[0]["plate"] == "60-2"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEADER, "has no rows"),
        ("image,truck\na.png,T1\n", "column captured_at is missing"),
        (HEADER + GOOD.replace("+00:00", ""), "row 2, captured_at"),
        (HEADER + GOOD.replace(",burn_clean,60", ",burned,60"), "row 2, vote_3 'burned'"),
        (HEADER + GOOD.replace("T1", ""), "row 2, truck"),
        (HEADER + GOOD + GOOD, "row 3, image 'a.png': is in row 2 already"),
        (HEADER + GOOD.replace("S1,,", "S1,holdout,"), "row 2, split 'holdout'"),
        (HEADER + GOOD.replace("60-1", "60-1,more"), "line 2 has more or fewer cells"),
        (HEADER.replace("plate", "truck") + GOOD, "column 'truck' is there twice"),
        (HEADER.replace("plate", "votes") + GOOD, "column 'votes' has a name that is taken"),
        (HEADER.replace("plate", "voters") + GOOD, "column 'voters' has a name that is taken"),
        (HEADER.replace("plate", "vote4") + GOOD, "column 'vote4' seems to be of votes and would"),
        (HEADER.replace("plate", "Vote_4") + GOOD, "column 'Vote_4' seems to be of votes"),
        (HEADER.replace("plate", " vote_4") + GOOD, "column ' vote_4' seems to be of votes"),
        (HEADER.replace("plate", "vote_nok") + GOOD, "column 'vote_nok' seems to be of votes"),
        (HEADER.replace("plate", "Votes") + GOOD, "column 'Votes' seems to be of votes"),
        (HEADER.replace("plate", "expert_3") + GOOD, "column 'expert_3' seems to be of votes"),
        (HEADER.replace("plate", "Rater 3") + GOOD, "column 'Rater 3' seems to be of votes"),
        (
            HEADER.replace("plate", "vote_4,vote_5,vote_6")
            + GOOD.replace("60-1", "undefined,undefined,undefined"),
            "row 2, votes: 6 votes, 5 experts at most",
        ),
        (HEADER + GOOD.replace("a.png", "") + GOOD.replace("T1", ""), "and 1 more bad rows"),
    ],
)
def test_bad_manifest_says_where_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError) as caught:
        Manifest.read(write(tmp_path, text))
    assert says in str(caught.value)
    assert "manifest.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_manifest_may_be_parquet(tmp_path: Path) -> None:
    csv = Manifest.read(write(tmp_path / "csv", HEADER + GOOD))
    (tmp_path / "parquet").mkdir()
    file = tmp_path / "parquet" / "manifest.parquet"
    replace(csv, path=file).write()
    parquet = Manifest.read(tmp_path / "parquet")
    assert (parquet.path, parquet.rows) == (file, csv.rows)
    parquet.with_splits(["test"]).write()
    assert Manifest.read(file).rows[0].split == "test"
    write(tmp_path / "parquet", HEADER + GOOD)
    with pytest.raises(DataError, match=r"manifest.csv and manifest.parquet; move one"):
        Manifest.read(tmp_path / "parquet")


def test_the_capture_time_may_be_unknown_but_its_column_must_be_there(tmp_path: Path) -> None:
    undated = GOOD.replace("2026-01-05T03:00:00+00:00", "")
    assert Manifest.read(write(tmp_path, HEADER + undated)).rows[0].captured_at is None


MORNING = datetime(2026, 1, 4, 3, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "cell",
    [
        *("2026-01-04T10:30:00+07:00", "2026-01-04 10:30+07:00", "2026-01-04_03:30:00z"),
        *("20260104T103000+0700", "20260104T1030+07", "20260104 033000Z", "20260104103000+07:00"),
        *(
            "2026-01-04T10:30:00.0000000+0700",
            " 2026-01-04T03:30:00,0Z",
            "2026-01-03T20:30\N{MINUS SIGN}07:00",
        ),
    ],
)
def test_iso_8601_is_read_in_all_its_forms(tmp_path: Path, cell: str) -> None:
    text = HEADER + GOOD.replace("2026-01-05T03:00:00+00:00", f'"{cell}"')
    assert Manifest.read(write(tmp_path, text)).rows[0].captured_at == MORNING


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        *((text, "has no time zone") for text in ("20260104", "20260104103000", "2026-01-04")),
        # Seconds since 1970, days of a spreadsheet, a time without seconds or of a year in brief.
        *((text, "no ISO 8601 date or time") for text in ("1767500000", "45000.5", "202601041030")),
        *((text, "no ISO 8601 date or time") for text in ("20260104.0", "25690104", "2026", "1e9")),
        # An hour, or a zone?
        *((text, "no ISO 8601 date or time") for text in ("20260104103+07:00", "2026-01-04+07:00")),
        *((text, "no ISO 8601 date or time") for text in ("2026-01-04T10-03", "2026-01-04_10-03")),
        *(
            (text, "no ISO 8601 date or time")
            for text in ("20260104_10-03", "20260104_103000-0001")
        ),
    ],
)
def test_bare_numbers_are_no_times(tmp_path: Path, cell: str, says: str) -> None:
    text = HEADER + GOOD.replace("2026-01-05T03:00:00+00:00", cell)
    with pytest.raises(DataError) as caught:
        Manifest.read(write(tmp_path, text))
    assert f"row 2, captured_at '{cell}': {says}; write it as 2026-01-04T10:30:00+07:00; " in str(
        caught.value
    )


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2099, 12, 31)),  # noqa: DTZ001 - the zone comes then
    st.none() | st.integers(-23 * 60, 23 * 60),
    st.sampled_from(["%Y-%m-%dT%H:%M:%S", "%Y%m%dT%H%M%S", "%Y%m%d%H%M%S", "%Y%m%d_%H%M%S"]),
)
def test_a_time_is_read_as_it_was_written(moment: datetime, minutes: int | None, form: str) -> None:
    zone = None if minutes is None else timezone(timedelta(minutes=minutes))
    written = moment.replace(microsecond=0, tzinfo=zone)
    text = written.strftime(form + "%z")
    if minutes is not None and minutes < 0 and "T" not in form:
        with pytest.raises(ValueError, match="no ISO 8601 date or time"):  # it may be a number
            moments.parse(text)
    else:
        assert moments.parse(text) == written


@given(st.text("0123456789.-+:TtZ_ e", max_size=20) | st.from_regex(r"\A(19|20)\d{6,14}\Z"))
def test_a_time_begins_with_its_day_or_is_refused(text: str) -> None:
    try:
        moment = moments.parse(text)
    except ValueError:
        return
    assert text.strip().replace("-", "")[:8] == moment.date().isoformat().replace("-", "")


SPELLINGS = (
    "70-1 \N{LATIN SMALL LETTER E WITH ACUTE}",
    " 70-1  e\N{COMBINING ACUTE ACCENT} ",
    "70-1\N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}\N{LATIN SMALL LETTER E WITH ACUTE}",
)


def test_a_truck_and_a_station_are_one_whatever_their_spelling(tmp_path: Path) -> None:
    kinds = zip("abc", SPELLINGS, ("S1", "S1 ", " S1"), ("train", "test", "val"), strict=True)
    lines = "".join(
        GOOD.replace("a.png,T1", f"{name}.png,{truck}").replace("S1,,", f"{station},{split},")
        for name, truck, station, split in kinds
    )
    manifest = Manifest.read(write(tmp_path / "one", HEADER + lines))
    assert {row.truck for row in manifest.rows} == {SPELLINGS[0]}
    assert {row.station for row in manifest.rows} == {"S1"}
    # The file keeps what it has.
    manifest.write()
    assert tuple(row["truck"] for row in Manifest.read(tmp_path / "one").cells) == SPELLINGS
    with pytest.raises(DataError, match=r"truck 70-1 .* is in two splits, train and test"):
        Dataset.open(tmp_path / "one").split(1, grouping="truck")
    with pytest.raises(DataError, match=r"station/day S1/2026-01-05 is in two splits"):
        Dataset.open(tmp_path / "one").split(1, grouping="station-day")
    merged = merge([tmp_path / "one"], tmp_path / "merged")
    assert {row.truck for row in merged.rows} == {f"one/{SPELLINGS[0]}"}


@given(st.text())
def test_a_tidy_name_stays_as_it_is(name: str) -> None:
    assert tidied(tidied(name)) == tidied(name) == tidied(f" {name}\t")


def test_a_blank_truck_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 2, truck"):
        Manifest.read(write(tmp_path, HEADER + GOOD.replace("T1", "  ")))


def test_the_digest_is_of_images_labels_splits_and_of_the_cut_where_there_is_one(
    tmp_path: Path,
) -> None:
    lines = "".join(GOOD.replace("a.png", f"{name}.png") for name in "ab")
    folder = write(tmp_path, HEADER + lines.replace("S1,,", "S1,train,"))
    (folder / "a.png").write_bytes(b"one")  # b.png is not there, and counts as empty
    # Runs and studies are told apart by it: data that is not cut must keep the digest it had.
    pinned = "d80ff93f4384ca63c19486c55feb794882f3bb3c86bed01cc4a3d5c621556c73"
    assert Dataset.open(folder).digest == pinned
    area = (0.0, 0.04, 1.0, 0.96)
    Description(graded_area=area).write(folder)
    assert Dataset.open(folder).digest == pinned
    Description(graded_area=area, shows="frame").write(folder)
    cut = Dataset.open(folder).digest
    Description(graded_area=(0.0, 0.05, 1.0, 0.96), shows="frame").write(folder)
    assert len({pinned, cut, Dataset.open(folder).digest}) == 3


def test_missing_folder_and_binary_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        Manifest.read(tmp_path / "nowhere")
    (tmp_path / "manifest.csv").write_bytes(b"image\xff\xfe\x00")
    with pytest.raises(DataError, match="not a CSV file"):
        Manifest.read(tmp_path)


def test_majority_needs_more_than_half_and_the_stated_share() -> None:
    fresh, burnt, trash = Grade.FRESH_CLEAN, Grade.BURN_CLEAN, Grade.FRESH_TRASH
    assert majority([fresh, fresh, fresh, burnt, trash], 0.6) is fresh
    assert majority([fresh, fresh, burnt, burnt, trash], 0.4) is None
    assert majority([fresh, fresh, fresh, burnt, trash], 0.8) is None
    assert majority([fresh, burnt], 0.5) is None
    assert majority([], 0.6) is None


def test_disputed_and_unlabelled_images_are_counted(tmp_path: Path) -> None:
    disputed = "b.png,T2,2026-01-05T03:00:00Z,S1,,burn_clean,fresh_clean,burn_clean,undefined,x\n"
    silent = "c.png,T3,2026-01-05T03:00:00Z,S1,,burn_clean,,,,x\n"
    manifest = Manifest.read(write(tmp_path, HEADER + GOOD + disputed + silent))
    votes = label(manifest.rows)
    assert (votes.source, votes.disputed, votes.unlabelled) == ("votes", 1, 1)
    assert votes.grades == (Grade.FRESH_CLEAN, None, None)
    truth = label(manifest.rows, source="truth")
    assert truth.grades == (Grade.FRESH_CLEAN, Grade.BURN_CLEAN, Grade.BURN_CLEAN)


def test_thinning_leaves_out_training_images_only(tmp_path: Path) -> None:
    kinds = [(split, grade) for split in ("train", "val", "test") for grade in GRADES]
    lines = [
        f"{n}.png,T{n},2026-01-05T03:00:00Z,S1,{kinds[n % 15][0]},{kinds[n % 15][1]},,,,\n"
        for n in range(150)
    ]
    folder = write(tmp_path / "all", HEADER + "".join(lines))
    shares = {Grade.BURN_TRASH: 0.25, Grade.UNDEFINED: 0.5}
    thinned = thin(folder, tmp_path / "out" / "few", shares, seed=7)
    counts = Counter(
        (row.split, grade)
        for row, grade in zip(thinned.rows, label(thinned.rows).grades, strict=True)
    )
    assert {kind: counts[kind] for kind in kinds} == {
        **dict.fromkeys(kinds, 10),
        ("train", Grade.BURN_TRASH): 2,
        ("train", Grade.UNDEFINED): 5,
    }
    assert {image.parent.resolve() for image in thinned.images} == {folder.resolve()}
    # The same images whatever the order of the rows.
    back = write(tmp_path / "back", HEADER + "".join(lines[::-1]))
    again = thin(back, tmp_path / "again", shares, seed=7)
    assert {p.name for p in again.images} == {p.name for p in thinned.images}
    # Validation images can be as scarce, and the training images left are the same ones.
    both = thin(folder, tmp_path / "both", shares, seed=7, splits=("train", "val"))
    left = Counter(
        (row.split, grade) for row, grade in zip(both.rows, label(both.rows).grades, strict=True)
    )
    assert {kind: left[kind] for kind in kinds} == {
        **{kind: counts[kind] for kind in kinds},
        ("val", Grade.BURN_TRASH): 2,
        ("val", Grade.UNDEFINED): 5,
    }
    assert {row.image.rsplit("/", 1)[-1] for row in both.rows if row.split == "train"} == {
        row.image.rsplit("/", 1)[-1] for row in thinned.rows if row.split == "train"
    }
    assert Description.read(tmp_path / "both").thinned["splits"] == ["train", "val"]
    with pytest.raises(DataError, match="none would be left; keep a larger share"):
        thin(folder, tmp_path / "none", {Grade.BURN_CLEAN: 0.01}, seed=7)
    with pytest.raises(DataError, match="exists; choose another"):
        thin(folder, tmp_path / "again", shares, seed=7)


def test_the_command_thins_the_splits_it_is_given(tmp_path: Path) -> None:
    lines = [f"{n}.png,T{n},,S1,{('train', 'val')[n % 2]},burn_clean,,,,\n" for n in range(40)]
    folder = write(tmp_path / "all", HEADER + "".join(lines))

    def thinned(out: str, *splits: str) -> Result:
        options = [option for split in splits for option in ("--split", split)]
        command = ["thin", "--data", str(folder), "--out", str(tmp_path / out), *options]
        return CliRunner().invoke(app, [*command, "--keep", "burn_clean=0.5"])

    assert thinned("train").output.endswith("30 images, 10 of them for training\n")
    assert thinned("both", "train", "val").output.endswith("20 images, 10 of them for training\n")
    refused = thinned("none", "all")
    assert refused.exit_code == 2
    assert "choose one of train, val, test" in " ".join(refused.output.split())


def test_merge_tells_trucks_apart_and_finds_the_images(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = write(tmp_path / name, HEADER + GOOD)
        (folder / "a.png").write_bytes(name.encode())
    merged = merge([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    assert [row.truck for row in merged.rows] == ["one/T1", "two/T1"]
    assert [(merged.folder / row.image).read_bytes() for row in merged.rows] == [b"one", b"two"]
    with pytest.raises(DataError, match="exists; choose another"):
        merge([tmp_path / "one"], tmp_path / "both")
    (tmp_path / "two" / "dataset.json").write_text('{"graded_area": [0, 0.04, 1, 0.96]}')
    with pytest.raises(DataError, match="two has graded_area"):
        merge([tmp_path / "one", tmp_path / "two"], tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_merged_with_votes_grades_are_the_votes_of_one_more_expert(tmp_path: Path) -> None:
    voted = write(tmp_path / "voted", HEADER + GOOD)
    Description(experts={"vote_1": "nok"}, label_method="majority").write(voted)
    graded = write(
        tmp_path / "graded", "image,truck,captured_at,grade\nb.png,T1,,burn_trash\nc.png,T2,,\n"
    )
    dataset = Dataset.open(merge([graded, voted], tmp_path / "both").folder)
    assert dataset.labels.grades == (Grade.BURN_TRASH, None, Grade.FRESH_CLEAN)
    assert (dataset.labels.disputed, dataset.labels.unlabelled) == (0, 1)
    assert dataset.description.experts == {"vote_1": "nok", "vote_4": "the grades of graded"}
    assert dataset.description.label_method == "majority"
    # Nothing is voted on where no folder has votes.
    alone = Dataset.open(merge([graded], tmp_path / "alone").folder)
    assert (alone.labels.source, alone.labels.grades) == ("truth", (Grade.BURN_TRASH, None))


def test_merged_votes_are_of_one_expert_only_where_dataset_json_says_so(tmp_path: Path) -> None:
    said = {
        "one": {"vote_1": "nok", "vote_2": "lek"},
        "two": {"vote_2": "nok"},
        "three": {},
    }
    for name, experts in said.items():
        folder = write(tmp_path / name, HEADER + GOOD.replace("a.png", f"{name}.png"))
        Description(experts=experts).write(folder)
    dataset = Dataset.open(merge([tmp_path / name for name in said], tmp_path / "all").folder)
    experts = dataset.description.experts
    by_folder = [[experts[voter] for voter in row.voters] for row in dataset.manifest.rows]
    assert [sorted(names) for names in by_folder] == [
        ["lek", "nok", "vote_3 of one"],
        ["nok", "vote_1 of two", "vote_3 of two"],
        ["vote_1 of three", "vote_2 of three", "vote_3 of three"],
    ]
    assert len(set(experts)) == len(set(experts.values())) == 8
    # Everybody's votes are still theirs, whatever the column is now.
    for row, names in zip(dataset.manifest.rows, by_folder, strict=True):
        votes = dict(zip(names, row.votes, strict=True))
        folder = Path(row.image).stem
        named = said[folder]
        for column, vote in zip(("vote_1", "vote_2", "vote_3"), GOOD.split(",")[6:9], strict=True):
            assert votes[named.get(column, f"{column} of {folder}")] == vote
    # Of one merged folder and another, too, also where that is called like one of the merged.
    for name in ("four", "elsewhere/three"):
        folder = write(tmp_path / name, HEADER + GOOD)
        again = merge([tmp_path / "all", folder], tmp_path / f"again-{folder.name}")
        names = Description.read(again.folder).experts
        assert len(names) == len(set(names.values())) == 11


def test_two_columns_of_one_expert_are_not_merged(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = write(tmp_path / name, HEADER + GOOD.replace("a.png", f"{name}.png"))
    Description(experts={"vote_1": "nok", "vote_3": "nok"}).write(folder)
    with pytest.raises(DataError, match=r"two/dataset.json: nok has two vote columns; name"):
        merge([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_a_merge_that_fails_writes_nothing(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, HEADER + GOOD.replace("a.png", "../shared.png"))
    with pytest.raises(DataError, match=r"shared\.png: is in one and in two; leave one out"):
        merge([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_merged_folders_may_call_grades_otherwise_but_not_mean_others(tmp_path: Path) -> None:
    own = {grade.value: grade for grade in GRADES if grade != "burn_clean"}
    for name, classes in (
        ("plain", {}),
        ("burned", {"Burned": Grade.BURN_CLEAN, **own}),
        ("things", {"glass": Grade.FRESH_CLEAN, "paper": Grade.BURN_CLEAN}),
        ("others", {"glass": Grade.BURN_CLEAN, "paper": Grade.FRESH_CLEAN}),
        ("wrong", {"Burned": Grade.BURN_TRASH, **own}),
    ):
        folder = write(tmp_path / name, HEADER + GOOD.replace("a.png", f"{name}.png"))
        Description(classes=classes).write(folder)
    merged = merge([tmp_path / "plain", tmp_path / "burned"], tmp_path / "both")
    description = Description.read(merged.folder)
    assert description.renamed == {"Burned": Grade.BURN_CLEAN}
    assert set(description.grades_in_use) == set(GRADES)
    for first, second, says in (
        ("plain", "things", "has classes"),
        ("things", "others", "glass is burn_clean there, and fresh_clean in .*things"),
        ("burned", "wrong", "Burned is burn_trash there, and burn_clean in .*burned"),
    ):
        with pytest.raises(DataError, match=says):
            merge([tmp_path / first, tmp_path / second], tmp_path / "none")
    assert not (tmp_path / "none").exists()
