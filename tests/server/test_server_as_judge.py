"""Our own server can judge for `chatwright compare`: client and server speak the same API."""

from chatwright.conversation import Message
from chatwright.data.rows import Location, PromptRow
from chatwright.evaluation.chat_api import ChatApi, ChatApiConfig
from chatwright.evaluation.chat_judge import INSTRUCTIONS, ChatJudge
from chatwright.server.http_server import serve_in_thread
from chatwright.server.status import Status
from tests.server.fake_assistant import FakeAssistant


class FirstIsBetter(FakeAssistant):
    """A judge that always prefers the reply it reads first."""

    def words(self, seed: int, count: int) -> list[str]:
        return ["A"]


def test_a_served_model_is_asked_in_both_orders() -> None:
    prompt = PromptRow((Message("user", "What is 5 + 7?"),), Location("test"))
    assistant = FirstIsBetter()
    ready = Status(state="ready", stage="", fraction=1.0)
    with serve_in_thread("m", 0, status=lambda: ready) as (service, address):
        service.publish(assistant, "m")
        api = ChatApi(ChatApiConfig(url=f"{address}/v1", model="m"))
        judge = ChatJudge("m", api.ask, {})
        replies = [Message("assistant", text) for text in ("It is 12.", "It is 7.")]
        assert judge.judge([prompt], [replies[0]], [replies[1]]) == [0.5]
    assert judge.counts_by_name() == {"pairs": 1, "unparsable": 0, "order_decided": 1}
    assert len(assistant.seen) == 2
    for conversation, sampling in assistant.seen:
        assert [message.role for message in conversation] == ["system", "user"]
        assert conversation[0].text == INSTRUCTIONS
        assert sampling.temperature == 0
