"""Whether the version that came with a command is the one that it names, for readers that policy allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bzzzd.errors import InvalidEnvelope, NotAllowed
from bzzzd.slurp.brief import brief_address
from bzzzd.slurp.commands import Answer, Ask, Author, Command, Complete, Fail, Submit
from bzzzd.slurp.question import PROMPT_TYPE, prompt_address, value_address
from bzzzd.slurp.refusals import ValueChanged
from bzzzd.storage.versions.rows import Pending
from bzzzd.ucxl.address import parse

# The roles that may read content of this type by an author of this role.
Recipients = Callable[[str, str], Sequence[str]]


def check_named(author: Author, command: Command, pending: Pending | None, recipients: Recipients) -> None:
    """Raises ``InvalidEnvelope`` for another version than the signed one, ``NotAllowed`` for its readers."""
    sent = pending.id if pending else None
    at = pending.header.address if pending else None
    match command:
        case Submit(brief=brief):
            expected = brief_address(author.id, author.role, command.project, command.task)
            if (sent, at) != (brief, expected):
                raise InvalidEnvelope(f"the command names another brief than the one sent, which belongs at {expected}")
        case Complete(result=result, address=address):
            if (sent, at) != (result, address):
                raise InvalidEnvelope("the command names another decision than the one sent")
        case Fail(detail=detail):
            if sent != detail:
                raise InvalidEnvelope("the command names another explanation than the one sent")
        case Ask(version=version):
            expected = prompt_address(author.id, author.role, _project(at), command.task, command.prompt)
            if (sent, at) != (version, expected):
                raise InvalidEnvelope("the command names another question than the one sent")
            if pending is not None and pending.header.content_type != PROMPT_TYPE:
                raise InvalidEnvelope(f"a question is of the type {PROMPT_TYPE}")
        case Answer(value=value):
            expected = value_address(author.id, author.role, _project(at), command.task, command.prompt)
            if sent != value or (at is not None and at != expected):
                raise ValueChanged(
                    "the answer that was signed names another value than the one sent", prompt=command.prompt
                )
        case _:
            if pending is not None:
                raise InvalidEnvelope("a version came with a command that names none")
    if pending is not None:
        _check_readers(author, pending, recipients)


def _project(address: str | None) -> str:
    """The task's project, as the author of a version says; the rest of the address is compared."""
    return parse(address).project if address is not None else "default"


def _check_readers(author: Author, pending: Pending, recipients: Recipients) -> None:
    """A header may name fewer readers than policy does, never others."""
    allowed = recipients(author.role, pending.header.content_type)
    extra = sorted(set(pending.header.readers) - set(allowed))
    if extra:
        raise NotAllowed(
            f"policy does not let {', '.join(extra)} read {pending.header.content_type} of role {author.role}; "
            f"leave them out (allowed: {', '.join(allowed)})"
        )
