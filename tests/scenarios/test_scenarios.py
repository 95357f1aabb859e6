"""Each scenario of the list through each face: what the list says, and the same from all."""

import collections
import concurrent.futures

import pytest

from scenarios import SCENARIOS
from stage import FACES, LUAS, Stage

# Known to a face only: what happens inside of it, and what it calls by itself.
OWN_TO_A_RUN = {"fingerprints", "chain", "lines"}
# What the command does not tell, or in its own way. Its error is that of a certificate: where the
# others work by hand its words are different, else they are in the errors of their results.
NOT_IN_COMMAND = {"steps", "warnings", "done", "own", "order", "names", "name_errors", "certified"}
WORDS = {"message", "object", "advice"}
# Not said by name in `expect`, but compared between faces all the same.
SPECIAL = {"words", "told"}


def _expected(scenario, face, got):
    """What the list says of this run, without what this face does not tell."""
    for what, value in scenario.expect.items():
        if what in SPECIAL or (face == "command" and what in NOT_IN_COMMAND):
            continue
        assert got[what] == value, f"{face}: {what}: {got}"
    for word in scenario.expect.get("words", ()):
        assert word in got["message"], f"{face}: {got}"


def _comparable(scenario, face, got):
    """What must be the same in all faces of a kind."""
    apart = OWN_TO_A_RUN | set(scenario.apart)
    if face == "command":
        apart = apart | NOT_IN_COMMAND | (WORDS if "errors" in got else set())
        if scenario.level == "order":
            apart |= {"errors", "outcomes"}
    return {what: value for what, value in got.items() if what not in apart}


def _play(servers, scenario, folder):
    """What each face tells; all side by side, for most of the time is waiting."""
    faces = [face for face in FACES if face not in scenario.without]
    with concurrent.futures.ThreadPoolExecutor(len(faces)) as pool:
        for face in faces:
            (folder / face).mkdir()
        plays = [pool.submit(Stage(servers, scenario, face, folder / face).play) for face in faces]
        return {face: play.result() for face, play in zip(faces, plays)}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario__is_the_same_through_all_faces(servers, tmp_path, scenario):
    told = _play(servers, scenario, tmp_path)
    for face, got in told.items():
        _expected(scenario, face, got)
        # What an order gives is what the CA has issued last.
        if "chain" in got:
            assert got["chain"] == got["fingerprints"][-1]
    first = _comparable(scenario, "c", told["c"])
    for face, got in told.items():
        theirs = _comparable(scenario, face, got)
        assert theirs == {what: first[what] for what in theirs}, face
        if face != "command":
            assert theirs.keys() == first.keys(), face
    if "told" in scenario.expect:
        _tells_the_same(told)


def _tells_the_same(told):
    """Steps are told to callbacks, and by the command to people."""
    steps = {(about, text or step) for about, step, text in told["c"]["steps"]}
    assert len(steps) > 10 and len(told["c"]["done"]) == 1
    missing = steps - told["command"]["lines"]
    assert not missing


def test_list__has_each_kind_several_times():
    kinds = collections.Counter(scenario.kind for scenario in SCENARIOS)
    assert set(kinds) == {"issue", "deploy", "renew", "error", "cancel", "callback"}
    assert min(kinds.values()) >= 3
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert all(scenario.expect.get("result") for scenario in SCENARIOS)


def test_list__leaves_no_face_out_without_need():
    assert {face for scenario in SCENARIOS for face in scenario.without} <= {"command"}
    assert sum("command" in scenario.without for scenario in SCENARIOS) <= 6
    assert {"c", "python", "command"} <= set(FACES)


def test_list__is_played_through_lua_too():
    if "lua" not in FACES:
        pytest.skip("skipped: no Lua, or its module was not built")
    assert set(LUAS) <= {"lua5.1", "lua5.3", "lua5.4"}
