"""Exit statuses of weir that other files do not come by: usage, what cannot be read, what cannot be written."""
import json
import subprocess

import pytest

from milterdlib import BUILD, RULES, SOURCE, write_rules

MAIL = "From: a@client.example\nTo: b@example.org\nSubject: hello\nMessage-ID: <1@client.example>\n\nhello\n"


@pytest.fixture(name="weir", scope="module")
def weir_fixture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weir")
    write_rules(folder / "rules", RULES)
    (folder / "m.eml").write_text(MAIL)
    (folder / "weir.json").write_text(json.dumps({"milterd": {
        "rules": "rules", "store": "lmdb:store", "store_bytes": 16 << 20, "user": "", "antivirus": {"enabled": False}}}))
    (folder / "broken.json").write_text('{"milterd": {"rule": "rules"}}')
    (folder / "no-rules.json").write_text('{"milterd": {"rules": "nowhere", "user": ""}}')

    def run(*arguments, config="weir.json", **options):
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([BUILD / "weir", *(["-c", config] if config else []), *arguments], cwd=folder, text=True,
                              stderr=subprocess.PIPE, timeout=60, **options)
    return run


USAGE = [
    [], ["-x"], ["-c"], ["chekc"], ["check"], ["check", "--nonsense", "m.eml"], ["check", "--rcpt"],
    ["train"], ["train", "spam"], ["train", "maybe", "m.eml"], ["train", "spam", "--nonsense", "m.eml"], ["train", "--teacher"],
    ["forget"], ["stats", "x"], ["stats", "--json", "x"], ["status", "x"], ["reload", "x"],
    ["rules"], ["rules", "lint", "x"], ["rules", "test", "x"], ["rules", "show"], ["rules", "facts", "x"],
    ["config"], ["config", "x"], ["config", "show", "x"], ["sink"], ["sink", "--listen", "127.0.0.1:0"],
    ["sink", "--listen", "nonsense", "--maildir", "m"],
]


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_usage_is_64(weir, arguments):
    done = weir(*arguments)
    assert done.returncode == 64 and done.stderr, done


CONFIGURED = [["check", "m.eml"], ["train", "spam", "m.eml"], ["forget", "m.eml"], ["stats"], ["rules", "lint"], ["rules", "test"],
              ["rules", "show", "SPAMMY"], ["config", "show"], ["reload"], ["status"]]


@pytest.mark.parametrize("arguments", CONFIGURED, ids=" ".join)
@pytest.mark.parametrize("config, words", [("broken.json", "broken.json:1:"), ("missing.json", "missing.json: No such file")])
def test_a_configuration_that_cannot_be_read_is_65(weir, arguments, config, words):
    done = weir(*arguments, config=config)
    assert done.returncode == 65 and words in done.stderr, done


@pytest.mark.parametrize("arguments", [["check", "m.eml"], ["rules", "lint"], ["rules", "test"], ["rules", "show", "X"]], ids=" ".join)
def test_rules_that_cannot_be_read_are_65(weir, arguments):
    done = weir(*arguments, config="no-rules.json")
    assert done.returncode == 65 and "nowhere" in done.stderr, done


@pytest.mark.parametrize("arguments", [["check", "gone.eml"], ["check", "."], ["train", "spam", "gone.eml"], ["forget", "gone.eml"]], ids=" ".join)
def test_a_message_that_cannot_be_read_is_74(weir, arguments):
    done = weir(*arguments)
    assert done.returncode == 74 and arguments[-1] in done.stderr, done


@pytest.mark.parametrize("arguments", [["check", "m.eml"], ["check", "--json", "m.eml"], ["config", "show"], ["config", "manual"],
                                       ["stats"], ["stats", "--json"], ["rules", "facts"], ["rules", "schema"], ["rules", "lint"],
                                       ["rules", "test"], ["rules", "show", "SPAMMY"], ["train", "spam", "m.eml"], ["forget", "m.eml"]],
                         ids=" ".join)
def test_output_that_cannot_be_written_is_74(weir, arguments):
    with open("/dev/full", "w") as full:
        assert weir(*arguments, stdout=full).returncode == 74


def test_0_and_1(weir):
    for arguments in (["-h"], ["-V"], ["sink", "--help"], ["config", "show"], ["config", "manual"], ["stats"], ["stats", "--json"],
                      ["rules", "lint"], ["rules", "test"], ["rules", "facts"], ["rules", "schema"], ["rules", "show", "SPAMMY"],
                      ["check", "m.eml"], ["check", "-"]):
        done = weir(*arguments, input=MAIL)
        assert done.returncode == 0 and done.stdout, done
    assert weir("rules", "show", "SPAMY").returncode == 1
    weir("forget", "m.eml")
    assert [weir("train", "ham", "m.eml").returncode for _ in range(2)] == [0, 1]
    assert [weir("forget", "m.eml").returncode for _ in range(2)] == [0, 1]


def test_config_show_says_where_each_value_comes_from(weir):
    shown = weir("config", "show").stdout.splitlines()
    assert any(line.startswith('/milterd/rules = "rules"  (weir.json:1:') for line in shown)
    assert any(line.endswith("(default)") for line in shown)
    assert all(" = " in line and line.endswith(")") for line in shown)


def test_only_the_verdict_is_told(weir, tmp_path):
    write_rules(tmp_path / "rules", {"rules": {"V": {"when": {"virus.found": True}, "reject": "550 5.7.1 ${virus.name}"}}})
    (tmp_path / "weir.json").write_text(json.dumps({"milterd": {
        "rules": "rules", "store": "lmdb:store", "user": "",
        "antivirus": {"database": str(SOURCE / "contrib" / "demo" / "signatures"), "workers": 1}}}))
    done = weir("check", "m.eml", config=tmp_path / "weir.json")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_mistake_at_the_end_of_a_line_has_a_column(weir, tmp_path):
    (tmp_path / "weir.json").write_text('{ "milterd": {\n')
    assert "weir.json:2:1: " in weir("config", "show", config=tmp_path / "weir.json").stderr
