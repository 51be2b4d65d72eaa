"""Completion for bash, zsh and fish, written out from the command table: nothing is run while a person types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bzzzd.cli.table import COMMANDS, COMMON, Arg, Command
from manual.pages import programs

_FILES = ("PATH", "FILE", "PATH…")


def levels() -> dict[tuple[str, ...], list[tuple[str, str]]]:
    """For each beginning of a command, the words that can follow, with their help."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for command in COMMANDS:
        for length in range(len(command.words)):
            head, word = command.words[:length], command.words[length]
            whole = length + 1 == len(command.words)
            found.setdefault(head, {}).setdefault(word, command.help if whole else f"{word} commands")
    return {head: sorted(words.items()) for head, words in found.items()}


def _options(command: Command) -> list[Arg]:
    return [arg for arg in (*command.args, *COMMON) if arg.name.startswith("--")]


def _program_options() -> list[tuple[str, list[str]]]:
    """The programs with pages of their own, and the long options of each."""
    return [
        (
            program.name,
            [name for action in program.parser._actions for name in action.option_strings if name[:2] == "--"],
        )
        for program in programs()
    ]


def _takes_file(arg: Arg) -> bool:
    return arg.metavar in _FILES


def bash() -> str:
    """One function: the words so far choose the list of what may follow."""
    cases: list[str] = []
    for head, words in sorted(levels().items()):
        cases.append(f"        {_quoted(' '.join(head))}) words={_quoted(' '.join(word for word, _ in words))} ;;")
    for command in COMMANDS:
        names = " ".join([*(arg.name for arg in _options(command)), "--help"])
        cases.append(f"        {_quoted(command.name)}) words={_quoted(names)} ;;")
    files = " | ".join(sorted({arg.name for command in COMMANDS for arg in _options(command) if _takes_file(arg)}))
    # By command: an option of one name has other values elsewhere.
    choices = [
        f"        {_quoted(f'{command.name} {arg.name}')})"
        f' COMPREPLY=($(compgen -W {_quoted(" ".join(arg.choices))} -- "$cur")); return ;;'
        for command in COMMANDS
        for arg in command.args
        if arg.choices and arg.name.startswith("-")
    ]
    programs = [f"complete -o default -W {_quoted(' '.join(names))} {program}" for program, names in _program_options()]
    return "\n".join(
        [
            "# bash completion for bzzz, written from its command table",
            "_bzzz() {",
            '    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path="" word words=""',
            "    COMPREPLY=()",
            "    case $prev in",
            f'        {files}) COMPREPLY=($(compgen -f -- "$cur")); return ;;',
            "    esac",
            '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
            "        case $word in -*) break ;; esac",
            '        path="${path:+$path }$word"',
            "    done",
            "    while :; do",
            '        _bzzz_words "$path" && break',
            '        case $path in *" "*) path=${path% *} ;; *) break ;; esac',
            "    done",
            '    case "$path $prev" in',
            *choices,
            "    esac",
            '    COMPREPLY=($(compgen -W "$words" -- "$cur"))',
            "    [[ ${#COMPREPLY[@]} -gt 0 || $cur == -* ]] || compopt -o default",
            "}",
            "_bzzz_words() {",
            "    case $1 in",
            *cases,
            "        *) return 1 ;;",
            "    esac",
            "}",
            "complete -F _bzzz bzzz",
            *programs,
            "",
        ]
    )


def zsh() -> str:
    """The same table with descriptions, for zsh's _describe and _arguments."""
    lines = ["#compdef bzzz", "# zsh completion for bzzz, written from its command table", "_bzzz() {",
             '    local path="${(j: :)words[2,CURRENT-1]:#-*}"', "    local -a found", "    while :; do",
             "        case $path in"]  # fmt: skip
    for head, words in sorted(levels().items()):
        shown = " ".join(_quoted(f"{word}:{help.replace(':', ' ')}") for word, help in words)
        lines.append(f"            {_quoted(' '.join(head))}) found=({shown}); _describe command found; return ;;")
    for command in COMMANDS:
        specs = " ".join(_quoted(spec) for spec in _zsh_specs(command))
        lines.append(f"            {_quoted(command.name)}) _arguments {specs}; return ;;")
    lines += ["        esac", "        [[ $path == *' '* ]] || return 1", "        path=${path% *}", "    done", "}",
              '_bzzz "$@"', ""]  # fmt: skip
    return "\n".join(lines)


def _zsh_specs(command: Command) -> Iterator[str]:
    for arg in _options(command):
        text = arg.help.replace("[", "(").replace("]", ")").replace(":", " ")
        value = "" if arg.kind == "flag" else f":{arg.metavar or 'value'}:{_zsh_value(arg)}"
        yield f"{arg.name}[{text}]{value}"
    yield "--help[print help and leave]"
    yield "*:argument:_files"


def _zsh_value(arg: Arg) -> str:
    if arg.choices:
        return f"({' '.join(arg.choices)})"
    return "_files" if _takes_file(arg) else " "


def fish() -> str:
    """One line for each word and option, guarded by what stands before it."""
    lines = [
        "# fish completion for bzzz, written from its command table",
        "function __bzzz_at",
        "    set -l given (commandline -opc | string match -v -- '-*')",
        '    test "$given[2..-1]" = "$argv"',
        "end",
        "function __bzzz_in",
        "    set -l given (commandline -opc | string match -v -- '-*')",
        '    string match -q -- "$argv*" "$given[2..-1]"',
        "end",
        "complete -c bzzz -f",
    ]
    for head, words in sorted(levels().items()):
        for word, help in words:
            lines.append(f"complete -c bzzz -n {_quoted('__bzzz_at ' + ' '.join(head))} -a {word} -d {_quoted(help)}")
    for command in COMMANDS:
        lines += [_fish_option(command, arg) for arg in _options(command)]
    for program, names in _program_options():
        lines += [f"complete -c {program} -l {name.removeprefix('--')}" for name in names]
    return "\n".join([*lines, ""])


def _fish_option(command: Command, arg: Arg) -> str:
    line = f"complete -c bzzz -n {_quoted('__bzzz_in ' + command.name)} -l {arg.name.removeprefix('--')}"
    if arg.kind != "flag":
        line += " -r"
    if arg.choices:
        line += f" -a {_quoted(' '.join(arg.choices))}"
    elif _takes_file(arg):
        line += " -F"
    return f"{line} -d {_quoted(arg.help)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def scripts() -> Sequence[tuple[str, str]]:
    """File name and text of each shell's completion."""
    return (("bzzz.bash", bash()), ("_bzzz", zsh()), ("bzzz.fish", fish()))
