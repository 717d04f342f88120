"""What an address that does not exist shows."""

from __future__ import annotations

from fastapi import Request
from nicegui import ui

from edge_agent.api.ports import StationPort
from edge_agent.console.elements import icon, tag
from edge_agent.console.page import Frame, context_of


async def page(station: StationPort, request: Request) -> None:
    """Draws the page, with status 404."""
    context = context_of(station, request)
    t = context.t
    ui.status_code(404)
    with Frame(context, "", t("No such page")), tag("div", classes="panel nothing"):
        icon("search_off")
        tag("span", t("There is no page at this address."))
        tag("a", t("To the live page"), href="/")
