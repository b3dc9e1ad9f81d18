"""zh-CN is written, not converted: held with two conversion tables against the texts of zh-TW."""

from __future__ import annotations

import re

import opencc
import pytest

# Of characters alone, and of Taiwan's words as well.
TABLES = ("t2s", "tw2sp")
# What is left of a text when blanks, code, punctuation and Latin are gone; short ones may well be equal.
SHORTEST = 6
# Taiwan's words that Google's zh-CN pages and menus do not use, in the characters of zh-CN.
FOREIGN = [
    "执行阶段",
    "运算单元",
    "记忆体",
    "储存格",
    "程式",
    "档案",
    "资料夹",
    "硬碟",
    "磁碟",
    "萤幕",
    "预设",
    "支援",
    "伺服器",
    "网路",
    "资讯",
    "执行绪",
    "处理程序",
    "使用者",
    "选单",
    "连线",
    "变数",
    "字元",
    "引数",
    "指令",
    "物件",
    "巢状",
    "软体",
    "硬体",
    "讯息",
    "讯号",
    "装置",
    "驱动程式",
    "工作档",
]
# The other way round.
MAINLAND = [
    "運行",
    "內存",
    "顯存",
    "文件夾",
    "計算單元",
    "單元格",
    "進程",
    "默認",
    "用戶",
    "菜單",
    "變量",
    "字符",
    "日誌",
    "參數",
    "命令",
    "硬盤",
    "磁盤",
    "信號",
    "鏈接",
    "服務器",
]
# Reviewed: the same sentence, and no better one in either language.
SAME: frozenset[str] = frozenset()


def core(text: str) -> str:
    """The Chinese characters alone; `您` and `你` are one here."""
    text = re.sub(r"\{[^}]*\}|`[^`]*`", "", text)
    return "".join(re.findall("[\u4e00-\u9fff]", text)).replace("您", "你")


@pytest.fixture(scope="module")
def pairs(catalogues):
    """Template -> (zh-TW, zh-CN)."""
    there, here = (catalogues.texts(catalogues.read(language)) for language in ("zh-TW", "zh-CN"))
    return {template: (there[template], here[template]) for template in there}


@pytest.mark.parametrize("table", TABLES)
def test_no_text_is_a_conversion(pairs, table):
    """No zh-CN text is what a table makes of the zh-TW text."""
    convert = opencc.OpenCC(table).convert
    same = {
        template if isinstance(template, str) else template[0]: written
        for template, (taiwan, written) in pairs.items()
        if len(core(written)) >= SHORTEST and core(convert(taiwan)) == core(written)
    }
    assert {one: text for one, text in same.items() if one not in SAME} == {}


def test_the_test_sees_a_conversion():
    """The table itself turns a sentence of ours into what must not be there."""
    convert = opencc.OpenCC("t2s").convert
    assert core(convert("目前的執行階段不符合 {source}。")) == "目前的执行阶段不符合"


def test_each_has_its_own_words(pairs):
    """No word of the one country in the texts of the other."""
    for taiwan, written in pairs.values():
        assert [word for word in FOREIGN if word in written] == [], written
        assert [word for word in MAINLAND if word in taiwan] == [], taiwan


def test_each_says_you_as_its_document_does(pairs):
    """你 in zh-TW, 您 in zh-CN, as in the two documents that the project grew from."""
    assert [text for text, _ in pairs.values() if "您" in text] == []
    assert [text for _, text in pairs.values() if "你" in text] == []
