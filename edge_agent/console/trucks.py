"""The list of trucks, with filters and pages."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from edge_agent.api.ports import StationPort
from edge_agent.api.schemas import ArrivalOut, State, arrival_out
from edge_agent.console import parts
from edge_agent.console import vocabulary as words
from edge_agent.console.elements import Region, icon, tag
from edge_agent.console.filters import PAGE_SIZE, Filters
from edge_agent.console.page import Context, Frame, context_of, in_thread
from edge_agent.grades import GRADES
from edge_agent.records.store import Query


@dataclass(frozen=True)
class Listing:
    """One page of the list."""

    total: int
    arrivals: tuple[ArrivalOut, ...]


def load(station: StationPort, query: Query, page: int) -> Listing:
    """Reads a page of the list. Blocking. Raises one of STORE_FAULTS."""
    found = station.store.find(query, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
    return Listing(station.store.count(query), tuple(arrival_out(a) for a in found))


async def page(station: StationPort, request: Request) -> None:
    """Draws the page and keeps it fresh."""
    context = context_of(station, request)
    filters = Filters.parse(request.query_params)
    with Frame(context, "/trucks", context.t("Trucks")) as frame, tag("div", classes="stack"):
        _form(context, filters)
        listing = Region[Listing](lambda v: _listing(context, filters, v), "panel", "section")

        async def refresh() -> None:
            query = filters.query(context.f)
            listing.show(await in_thread(load, station, query, filters.page))

        await frame.first(refresh)
    frame.every_tick(refresh)


def _form(context: Context, filters: Filters) -> None:
    t = context.t
    grades = [(grade.value, words.grade_name(t, grade)) for grade in GRADES]
    states = [(state.value, t(words.STATES[state])) for state in State]
    # A plain form: the address holds the filters, so reload, back and bookmarks just work.
    with tag("form", classes="panel filters", method="get", action="/trucks", role="search"):
        _select(t("Grade"), "grade", t("All grades"), grades, filters.grade)
        _select(t("Outcome"), "outcome", t("All outcomes"), states, filters.outcome)
        with tag("label", classes="field grow"):
            tag("span", t("Ticket or plate"))
            tag("input", name="text", type="search", value=filters.text or "", maxlength="64")
        typed = dict(filters.mistakes)
        for name, text, day in (
            ("first", t("From"), filters.first),
            ("last", t("To"), filters.last),
        ):
            with tag("label", classes="field day"):
                tag("span", t("{field} (day/month/year)", field=text))
                # Not type="date": a browser shows that in its own language's order and year.
                tag(
                    "input",
                    name=name,
                    value=typed.get(name) or (context.f.date_field(day) if day else ""),
                    placeholder=context.f.example_day(),
                    inputmode="numeric",
                    autocomplete="off",
                    maxlength="10",
                    aria_invalid="true" if name in typed else None,
                )
        with tag("div", classes="field-actions"):
            with tag("button", classes="action small", type="submit"):
                icon("search")
                tag("span", t("Show"))
            if filters.narrows:
                tag("a", t("Clear"), "plain", href="/trucks")

        for wrong in typed.values():
            with tag("div", classes="trouble field-mistake", role="alert"):
                icon("error")
                example = context.f.example_day()
                note = t("{text} is no day. Write it as {example}.", text=wrong, example=example)
                tag("span", note)


def _select(
    text: str, name: str, everything: str, options: list[tuple[str, str]], chosen: str | None
) -> None:
    with tag("label", classes="field"):
        tag("span", text)
        with tag("select", name=name) as select:
            for value, label in [("", everything), *options]:
                tag("option", label, value=value, selected=value == (chosen or ""))
        select.on("change", js_handler="(event) => event.target.form.requestSubmit()")


def _listing(context: Context, filters: Filters, listing: Listing) -> None:
    t, f = context.t, context.f
    pages = max(1, -(-listing.total // PAGE_SIZE))
    with tag("h2"):
        tag("span", t("Trucks: {count}", count=f.number(listing.total)), id="truck-count")
    if listing.arrivals:
        parts.trucks_table(context, listing.arrivals)
    elif filters.narrows or filters.page > 1:
        _nothing(t("No truck matches."), t("Show all trucks"))
    else:
        _nothing(t("No truck yet"), None)
    if pages > 1:
        with tag("nav", classes="pager", aria_label=t("Pages of the list")):
            _step(t("Newer"), "chevron_left", filters.url(filters.page - 1), filters.page > 1)
            position = t("Page {page} of {pages}", page=filters.page, pages=pages)
            tag("span", position, "number")
            _step(t("Older"), "chevron_right", filters.url(filters.page + 1), filters.page < pages)


def _nothing(text: str, link: str | None) -> None:
    with tag("div", classes="nothing"):
        icon("search_off")
        tag("span", text)
        if link is not None:
            tag("a", link, href="/trucks")


def _step(text: str, sign: str, url: str, possible: bool) -> None:
    with tag("a", classes="plain", href=url if possible else None, aria_disabled=not possible):
        icon(sign)
        tag("span", text)
