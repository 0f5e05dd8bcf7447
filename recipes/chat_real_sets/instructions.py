"""One question, one answer: the instruction sets."""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chat_real_sets.cleaning import (
    Dropped,
    Turn,
    clean,
    dialogue,
    finish,
    is_complete,
    n_word,
    whole_paragraphs,
)
from chat_real_sets.held_out import read_text

LONGEST_REPLY = 200  # words

# Data sets inside T0 whose texts are ordinary sentences (not split into tokens, not lower-case) and whose answers can be known from the
# prompt, with the templates that ask as a person would. Rotten Tomatoes stays out: it holds sentences of the sst2 test set.
T0_TEMPLATES = {
    "samsum": (
        "Generate_a_summary_for_this_dialogue",
        "Summarize_this_dialogue_",
        "Given_the_above_dialogue_write_a_summary",
    ),
    "common_gen": ("Given_concepts_type_1", "Put_together", "random_task_template_prompt"),
    "sciq": ("Direct_Question_Closed_Book_", "Multiple_Choice_Closed_Book_", "Direct_Question"),
    "commonsense_qa": ("most_suitable_answer", "question_answering"),
    "social_i_qa": ("Generate_answer", "Show_choices_and_generate_answer", "I_was_wondering"),
    "quartz": ("answer_question_below", "given_the_fact_answer_the_q", "read_passage_below_choose"),
    "quarel": ("choose_between", "heres_a_story"),
    "ropes": ("plain_background_situation", "prompt_beginning"),
    "qasc": ("qa_with_separated_facts_1", "qa_with_separated_facts_3"),
    "dream": ("baseline", "generate_last_utterance"),
    "adversarial_qa_dbert": ("answer_the_following_q", "based_on"),
    "adversarial_qa_dbidaf": ("question_context_answer", "tell_what_it_is"),
    "quoref": ("Answer_Question_Given_Context", "Find_Answer"),
    "ag_news": ("classify_question_first", "which_section_choices"),
    "dbpedia_14": ("given_list_what_category_does_the_paragraph_belong_to",),
    "amazon_polarity": ("Is_this_product_review_positive", "user_satisfied"),
    "app_reviews": ("convert_to_rating", "generate_review"),
    "imdb": ("Reviewer_Enjoyment_Yes_No", "Sentiment_with_choices_"),
    "yelp_review_full": ("format_star", "format_rating"),
    "xsum": ("summarize_this_DOC_summary", "article_DOC_summary"),
    "wiqa": ("what_might_be_the_last_step_of_the_process", "what_is_the_missing_first_step"),
}
T0_PER_DATA_SET = 300


MISSING_TEXT = re.compile(
    r"\b(?:text|passage|paragraph|context|article|snippet|reference|below|following (?:list|text))\b",
    re.IGNORECASE,
)


def json_rows(path: Path) -> list[dict[str, Any]]:
    content = read_text(path)
    if path.name.removesuffix(".xz").endswith(".jsonl"):
        return [
            json.loads(line) for line in content.split("\n") if line.strip()
        ]  # not splitlines: texts hold U+2028
    return list(json.loads(content))


def dolly(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """The human answers. The published file lost apostrophes ("don t"), broke lines after each sentence and cut long answers."""
    for row in json_rows(data / "dolly-subset" / "flan-t5-xl.jsonl.xz"):
        question, answer = (
            mend_apostrophes(clean(row["instruction"])),
            mend_apostrophes(clean(row["text"])),
        )
        if MISSING_TEXT.search(question):
            dropped["refers to a text that is missing"] += 1
            continue
        answer = re.sub(r"(?<=[.!?:])\n(?=\d+\.\n)", "\n\n", answer)
        answer = re.sub(r"\b(\d+\.)\n", r"\1 ", answer)  # "1.\nTake the bus" is one line
        answer = re.sub(r"(?<=[.!?])\n(?![\d\-*])", " ", answer).replace("\n\n", "\n")
        if not is_complete(answer) and n_word(answer) > 60:
            dropped["answer cut off"] += 1
        else:
            yield dialogue(question, finish(answer))


def mend_apostrophes(text: str) -> str:
    text = re.sub(r"\b(\w+n) t\b", r"\1't", text)
    text = re.sub(
        r"\b([Ii]|[Yy]ou|[Ww]e|[Tt]hey|[Ii]t|[Hh]e|[Ss]he|[Tt]hat|[Tt]here|[Ww]ho) (ll|re|ve|m|d)\b",
        r"\1'\2",
        text,
    )
    return re.sub(r"\b(\w{2,}) s\b(?! [&.])", r"\1's", text)


def joined(instruction: str, extra: str) -> str:
    return f"{instruction}\n{extra}" if extra else instruction


def raschka(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    for row in json_rows(data / "raschka-instructions" / "instruction-data.json"):
        yield dialogue(joined(clean(row["instruction"]), clean(row["input"])), clean(row["output"]))


def gpteacher_roleplay(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    for row in json_rows(data / "gpteacher" / "roleplay.json.xz"):
        answer = whole_paragraphs(clean(row["output"]), LONGEST_REPLY)
        if "http" in answer or not is_complete(answer):
            dropped["too long, a link, or cut off"] += 1
        else:
            yield dialogue(joined(clean(row["instruction"]), clean(row["input"])), answer)


def llamafactory_chosen(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """The preferred answers of its DPO sample. The Alpaca-GPT4 file (non-commercial) and the KTO file (jokes on purpose) stay out."""
    for row in json_rows(data / "llamafactory-demos" / "dpo_en_demo.json.xz"):
        turns = [clean(turn["value"]) for turn in row["conversations"]] + [
            clean(row["chosen"]["value"])
        ]
        if row["conversations"][0]["from"] != "human" or len(turns) % 2:
            dropped["turns out of order"] += 1
        else:
            yield dialogue(*turns)


def gsm8k(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """The training problems, without the calculator's marks."""
    for row in json_rows(data / "gsm8k" / "train.jsonl.xz"):
        steps, _, result = re.sub(r"<<[^>]*>>", "", row["answer"]).partition("\n####")
        yield dialogue(clean(row["question"]), f"{clean(steps)}\nThe answer is {clean(result)}.")


def falseqa(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    for row in csv.DictReader(io.StringIO(read_text(data / "falseqa" / "train.csv"))):
        yield dialogue(clean(row["question"]), finish(clean(row["answer"])))


def safety_refusals(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Only as many leading paragraphs as fit: the refusal stands in the first."""
    for row in json_rows(data / "safety-refusals" / "safety_sft_conversations.jsonl.xz"):
        turns = [dict(turn, content=clean(turn["content"])) for turn in row]  # type: ignore[call-overload]
        for turn in turns:
            if turn["role"] == "assistant":
                turn["content"] = whole_paragraphs(turn["content"], 120)
        yield turns


ASKED_FOR_A_JOKE = (
    "Tell me a joke.", "Do you know a joke?", "Make me laugh.", "Tell me something funny.", "I'd like to hear a joke.", "Another joke!",
)  # fmt: skip


def jokes(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    for i, row in enumerate(json_rows(data / "jokes-clean" / "official_joke_api.json")):
        joke = finish(f"{clean(row['setup'])} {clean(row['punchline'])}")
        kind = {
            "programming": "Tell me a programming joke.",
            "knock-knock": "Tell me a knock-knock joke.",
            "dad": "Tell me a dad joke.",
        }
        yield dialogue(kind.get(row["type"], ASKED_FOR_A_JOKE[i % len(ASKED_FOR_A_JOKE)]), joke)


def reddit_jokes(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    for i, row in enumerate(
        csv.DictReader(io.StringIO(read_text(data / "jokes-clean" / "reddit-cleanjokes.csv")))
    ):
        joke = clean(row["Joke"])
        if re.search(r"http|reddit|\bOP\b|upvot|\bx-?post|\(via", joke) or n_word(joke) > 60:
            dropped["refers to the web, or long"] += 1
        else:
            yield dialogue(
                ASKED_FOR_A_JOKE[i % len(ASKED_FOR_A_JOKE)],
                finish(re.sub(r"\.\.\. ?\.\.\.", "...", joke)),
            )


def t0(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    by_template = defaultdict(list)
    for row in json_rows(data / "t0-50k" / "t0_train.jsonl.xz"):
        by_template[row["template"]].append(row)
    for name, templates in T0_TEMPLATES.items():
        lists = [by_template[f"{name}_{template}"] for template in templates]
        assert all(lists), f"t0 has no template {name}: {templates}"
        # The templates of a data set share their examples: example i goes to template i, i + 1, ... so that each is asked at most twice.
        longest = max(map(len, lists))
        rows = [
            lists[(i + turn) % len(lists)][i]
            for turn in range(min(2, len(lists)))
            for i in range(longest)
            if i < len(lists[(i + turn) % len(lists)])
        ]
        for row in rows[:T0_PER_DATA_SET]:
            prompt = clean(row["prompt"].replace("\\", " "))
            answer = clean(row["completion"].removesuffix("<|endoftext|>"))
            if not answer or n_word(answer) > 80 or (name == "common_gen" and n_word(answer) < 3):
                dropped["empty or long answer"] += 1
            else:
                yield dialogue(
                    prompt, finish(answer) if n_word(answer) > 3 else answer[0].upper() + answer[1:]
                )
