"""The screens of `catalog` and `rates`, and the same as JSON and CSV. Pure."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from launcher.record import SCHEMA_VERSION, reading_json
from launcher.report.lines import ENGLISH, Line, Paper, Tone, columns, padded
from launcher.units import hours_line, units_expire
from launcher.values import Known, Unknown
from launcher.words import listed, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.catalog.model import Catalog, Runtime
    from launcher.events import Offer, Offers
    from launcher.words import Text

GAP = "  "
NOT_KNOWN = "-"


def catalogue_screen(found: Offers, paper: Paper = ENGLISH, *, retired: bool = False) -> list[Line]:
    """A table, cheapest first; what is not known is a dash, and the last lines say what the signs mean."""
    catalog, offers = found.catalog, found.offers
    heads: list[Text] = [words("runtime"), "GPU/TPU", words("memory"), "RAM", words("disk")]
    heads += [words("units/h"), "US$/h", words("rate of")]
    if found.units is not None:
        heads.append(words("hours"))
    rows = [_cells(offer, catalog, paper, hours=found.units is not None) for offer in offers]
    lines = _table([paper.text(head) for head in heads], rows)
    sure = [offer for offer in offers if not _doubtful(offer)]
    if found.job and not offers:
        return [
            *paper.wrapped(words("No runtime of the catalogue would do for {job}.", job=found.job)),
            *(_gone(catalog, paper) if retired else ()),
        ]
    if len(sure) < len(offers):
        # They come last.
        apart = Line(paper.text(words("not known, may fit:")), tone=Tone.QUIET)
        lines.insert(1 + len(sure), apart)
    if found.units is not None and (line := _balance(found, paper)):
        lines += [Line(""), *line]
    lines += [Line(""), *_legend(found, paper)]
    return [*lines, *_gone(catalog, paper)] if retired else lines


def _gone(catalog: Catalog, paper: Paper) -> list[Line]:
    rows = [[gone.key, gone.title, gone.instead] for gone in catalog.colab.retired]
    heads: list[Text] = [words("gone"), words("name"), words("today")]
    return [Line(""), *_table([paper.text(head) for head in heads], rows)]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Line]:
    widths = [max(map(columns, column)) for column in zip(heads, *rows, strict=True)]

    right = [all(_is_figure(row[at]) for row in rows) for at in range(len(heads))]

    def laid_out(cells: Sequence[str]) -> str:
        beside = zip(cells, widths, right, strict=True)
        return GAP.join(_aligned(cell, width, right=to_right) for cell, width, to_right in beside).rstrip()

    return [Line(laid_out(heads), tone=Tone.QUIET), *(Line(laid_out(row)) for row in rows)]


def _is_figure(cell: str) -> bool:
    return cell == NOT_KNOWN or cell.replace(".", "").isdigit()


def _aligned(cell: str, width: int, *, right: bool) -> str:
    return " " * (width - columns(cell)) + cell if right else padded(cell, width)


def _cells(offer: Offer, catalog: Catalog, paper: Paper, *, hours: bool) -> list[str]:
    row = offer.row
    rate = NOT_KNOWN if row.units_per_hour is None else f"{row.units_per_hour:.2f}"
    cells = [
        row.key,
        row.tpu or _gpu_name(row, catalog),
        _size(_memory(row, catalog)),
        _size(row.ram_bytes),
        _size(row.disk_free_bytes),
        rate,
        NOT_KNOWN if offer.usd_per_hour is None else f"{offer.usd_per_hour:.2f}",
        _dated(row),
    ]
    if hours:
        cells.append(NOT_KNOWN if offer.hours is None else f"{offer.hours:.1f}")
    return cells


def _gpu_name(row: Runtime, catalog: Catalog) -> str:
    return NOT_KNOWN if row.gpu is None else catalog.accelerator(row.gpu).family or row.gpu


def _memory(row: Runtime, catalog: Catalog) -> int | None:
    if row.tpu is not None:
        return row.tpu_memory_bytes
    return None if row.gpu is None else catalog.accelerator(row.gpu).memory_bytes


def _size(size: int | None) -> str:
    """In units of 10^9 bytes, as a job file asks for it; short, because there are four beside each other."""
    return NOT_KNOWN if size is None else f"{size / 1e9:.1f}"


def _dated(row: Runtime) -> str:
    """The date of the rate; `*` is the user's own figure, `?` an old one."""
    if row.units_per_hour is None:
        return NOT_KNOWN
    return f"{row.checked or '?'}{'*' if row.own_rate else ''}{'?' if row.stale else ''}"


def _balance(found: Offers, paper: Paper) -> list[Line]:
    parts = [
        (offer.row.title, f"{offer.hours:.1f}")
        for offer in sorted(found.offers, key=lambda one: -(one.row.units_per_hour or 0))
        if offer.hours is not None and offer.row.gpu is not None and not offer.row.high_ram
    ]
    if not parts or found.units is None:
        return []
    said, expire = hours_line(found.units, parts), units_expire(found.catalog.colab.units_expire_s)
    return [*paper.wrapped(said, later="  "), *paper.wrapped(expire)]


def _legend(found: Offers, paper: Paper) -> list[Line]:
    """What the signs in the table mean, as far as they stand in it, and where to go from here."""
    rows = [offer.row for offer in found.offers]
    said: list[Text] = []
    sure = [offer.row.key for offer in found.offers if not _doubtful(offer)]
    if found.job and sure:
        said.append(words("Cheapest first: {job} fits on {rows}.", job=found.job, rows=listed(sure)))
    unsure = [
        words("{runtime} ({what} not known)", runtime=offer.row.key, what=listed(_unknown(offer)))
        for offer in found.offers
        if _doubtful(offer)
    ]
    if unsure:
        said.append(words("It may fit on {rows}.", rows=listed(unsure)))
    said.append(
        words("Sizes in GB. Disk is what a new runtime has free. Rates are approximate. - is not known.")
    )
    if any(map(_may_have_changed, rows)):
        said.append(words("? is a rate of over 180 days ago or of no date: it may have changed."))
    if any(row.own_rate for row in rows):
        said.append(words("* is a rate that you recorded."))
    said.append(words("Colab shows you another? {command}", command="colab-run rates set a100-40 5.40"))
    links, menu = found.catalog.colab.links, found.catalog.colab.menu
    said.append(words("Plans: {link}", link=links.plans))
    said.append(
        words(
            "A wrong bill: {address}. Feedback to Google: {menu}",
            address=links.billing,
            menu=menu.feedback.words,
        )
    )
    return [line for text in said for line in paper.wrapped(text, later="  ")]


def _doubtful(offer: Offer) -> bool:
    return offer.fit is not None and offer.fit.status.value == "unknown"


def _unknown(offer: Offer) -> list[Text]:
    """What the catalogue has no figure for, as people call it."""
    names: dict[str, Text] = {"ram": "RAM", "disk": words("disk"), "cpus": words("CPUs")}
    return [] if offer.fit is None else [names.get(name, name) for name in offer.fit.uncounted]


# --- for programs ---------------------------------------------------------------------------------


def catalogue_document(found: Offers, *, retired: bool = False) -> dict[str, object]:
    """`catalog --json`: sizes in bytes, `{"unknown": "no-source"}` where no source gives a figure."""
    document: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "platform": found.catalog.colab.key,
        "usd_per_unit": found.catalog.colab.unit_price.usd,
        "balance": found.units,
        "runtimes": [_record(offer, found.catalog, found.units) for offer in found.offers],
    }
    if retired:
        document["retired"] = [
            {"runtime": gone.key, "gpu": gone.gpu, "tpu": gone.tpu, "instead": gone.instead}
            for gone in found.catalog.colab.retired
        ]
    return document


def _record(offer: Offer, catalog: Catalog, balance: float | None) -> dict[str, object]:
    row = offer.row
    record: dict[str, object] = {
        "runtime": row.key,
        "gpu": row.gpu,
        "tpu": row.tpu,
        "memory_bytes": None if row.gpu is None and row.tpu is None else _figure(_memory(row, catalog)),
        "ram_bytes": _figure(row.ram_bytes),
        "disk_free_bytes": _figure(row.disk_free_bytes),
        "cpus": _figure(row.cpus),
        "high_ram": row.high_ram,
        "plan": row.plan,
        "units_per_hour": _figure(row.units_per_hour),
        "usd_per_hour": _figure(None if offer.usd_per_hour is None else round(offer.usd_per_hour, 4)),
        "checked": row.checked,
        "confidence": row.confidence,
        "may_have_changed": _may_have_changed(row),
        "recorded_by_you": row.own_rate,
        "hours": None if balance is None else _figure(None if offer.hours is None else round(offer.hours, 2)),
    }
    if offer.fit is not None:
        record["fits"] = offer.fit.status.value
        record["uncounted"] = list(offer.fit.uncounted)
    return record


def _figure(figure: float | None) -> object:
    """As `probe` says that something is not known; null is for what is not there."""
    return reading_json(Unknown("no-source") if figure is None else Known(figure))


def _may_have_changed(row: Runtime) -> bool:
    return row.stale or (row.units_per_hour is not None and row.checked is None)


def catalogue_csv(found: Offers, *, retired: bool = False) -> str:
    """The same rows for a spreadsheet; an empty cell is not known."""
    records = [_record(offer, found.catalog, found.units) for offer in found.offers]
    if retired:
        records += [
            {"runtime": gone.key, "gpu": gone.gpu, "tpu": gone.tpu, "plan": "retired"}
            for gone in found.catalog.colab.retired
        ]
    names = list(dict.fromkeys(name for record in records for name in record))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({name: _csv_cell(value) for name, value in record.items()})
    return text.getvalue()


def _csv_cell(value: object) -> object:
    if isinstance(value, dict):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(value) if isinstance(value, list) else value


# --- rates ----------------------------------------------------------------------------------------


def rates_screen(
    rates: Mapping[str, tuple[float, str]], catalog: Catalog, paper: Paper = ENGLISH
) -> list[Line]:
    """What the user recorded."""
    example = words("To record one: {command}", command="colab-run rates set a100-40 5.40")
    if not rates:
        return [
            *paper.wrapped(words("You have recorded no rates: those that ship are used.")),
            *paper.wrapped(example),
        ]
    heads: list[Text] = [words("runtime"), words("units/h"), words("rate of")]
    rows = [
        [key, f"{units:.2f}", _dated(row) if (row := catalog.colab.runtime(key)) else day]
        for key, (units, day) in sorted(rates.items())
    ]
    return [*_table([paper.text(head) for head in heads], rows), Line(""), *paper.wrapped(example)]


def rate_recorded(row: Runtime, path: str, catalog: Catalog, paper: Paper = ENGLISH) -> list[Line]:
    """What `rates set` noted, and where; the panel's figure is that of all sessions together."""
    said = words(
        "{runtime}: {units} units/hour as of {date}, noted in {path}",
        runtime=row.label,
        units=f"{row.units_per_hour or 0:.2f}",
        date=row.checked,
        path=path,
    )
    where = catalog.colab.menu.resources.words
    sums = words("Colab's figure ({where}) counts all your sessions together.", where=where)
    return [*paper.wrapped(said, later="  "), *paper.wrapped(sums)]


def rates_document(rates: Mapping[str, tuple[float, str]]) -> dict[str, object]:
    """`rates --json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "rates": [
            {"runtime": key, "units_per_hour": units, "checked": day}
            for key, (units, day) in sorted(rates.items())
        ],
    }
