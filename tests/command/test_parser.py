"""What `--help` says of every verb and flag, and what a shell completes."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Mapping

import pytest

from study.command.cli import main
from study.command.help import EXAMPLES
from study.command.parser import build_parser


def verbs() -> Mapping[str, argparse.ArgumentParser]:
    (action,) = [one for one in build_parser()._actions if isinstance(one, argparse._SubParsersAction)]
    return dict(action.choices)


@pytest.mark.parametrize("verb", verbs())
def test_every_flag_with_a_value_names_its_default_and_every_example_is_understood(verb: str) -> None:
    parser = verbs()[verb]
    silent = [
        action.dest
        for action in parser._actions
        if action.option_strings and action.nargs != 0 and "(default: " not in str(action.help)
    ]
    assert silent == []
    for example in EXAMPLES[verb]:
        words = example.partition(" > ")[0].split()
        assert words[0] == "study"
        assert build_parser().parse_args(words[1:]).verb == words[1]
        assert example in parser.format_help()


def test_help_fits_a_terminal_and_names_every_verb_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    begins = [line.split()[0] for line in said.splitlines() if line.startswith("  ") and line[2] != " "]
    assert [begins.count(verb) for verb in verbs()] == [1] * len(verbs())


def test_a_shell_completes_verbs_flags_and_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    ask = "COMPREPLY=(); _shtab_study; echo ${COMPREPLY[@]}"
    lines = [
        script,
        f"COMP_WORDS=(study comp); COMP_CWORD=1; {ask}",
        f"COMP_WORDS=(study run --bud); COMP_CWORD=2; {ask}",
        f"COMP_WORDS=(study run --sampler r); COMP_CWORD=3; {ask}",
    ]
    done = subprocess.run(["bash"], input="\n".join(lines), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["compare completion", "--budget", "random"]
    for shell in ("zsh", "tcsh"):
        assert main(["completion", shell]) == 0
        assert "budget" in capsys.readouterr().out
