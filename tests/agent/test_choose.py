from pathlib import Path

import pytest

from bzzzd.agent.providers.base import Prompt
from bzzzd.agent.providers.choose import choose
from bzzzd.agent.providers.embedded import EmbeddedModel
from bzzzd.agent.providers.remote import RemoteModel
from bzzzd.config.schema import AiSection
from bzzzd.errors import BadInput, CircuitOpen, KeyExposed, ModelFailed
from tests.agent.model_endpoint import KEY, ModelEndpoint, stream


def key_file(folder: Path, text: str = f"{KEY}\n", mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_text(text)
    path.chmod(mode)
    folder.chmod(0o700)
    return path


def test_no_provider_has_its_reason() -> None:
    assert choose(AiSection(provider="none"), None) == (None, "ai.provider is none")


async def test_the_embedded_model_is_the_default() -> None:
    assert isinstance(choose(AiSection(), None).provider, EmbeddedModel)


def test_an_absent_model_is_a_reason_and_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    chosen = choose(AiSection(), None)
    assert chosen.provider is None
    assert "apt install bzzz-model-smollm2" in chosen.why


async def test_an_endpoint_is_asked_with_the_key_of_its_file(endpoint: ModelEndpoint, tmp_path: Path) -> None:
    ai = AiSection(provider="openai", endpoint=f"{endpoint.url}/", model="m")
    provider = choose(ai, key_file(tmp_path)).provider
    assert isinstance(provider, RemoteModel)
    assert (await provider.complete(Prompt("s", "u", 10), lambda text: None)).text == "Hello there."
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in provider.health().detail
    await provider.stop()


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    ai = AiSection(provider="openai", endpoint="http://127.0.0.1:1/v1")
    with pytest.raises(KeyExposed):
        choose(ai, key_file(tmp_path, mode=0o644))
    with pytest.raises(BadInput, match="one token"):
        choose(ai, key_file(tmp_path, "two\nlines\n"))


async def test_a_failing_endpoint_is_left_alone_for_a_while(endpoint: ModelEndpoint) -> None:
    endpoint.behave(lambda request, body: stream(request, b"data: nonsense\n\n"))
    ai = AiSection(provider="openai", endpoint=endpoint.url, model="m", retries=0)
    provider = choose(ai, None).provider
    assert provider is not None
    for _ in range(3):
        assert provider.unusable == ""
        with pytest.raises(ModelFailed):
            await provider.complete(Prompt("s", "u", 10), lambda text: None)
    assert "failed several times" in provider.unusable
    assert provider.health().degraded
    with pytest.raises(CircuitOpen):
        await provider.complete(Prompt("s", "u", 10), lambda text: None)
    assert len(endpoint.bodies) == 3
    await provider.stop()
