"""How every page is rendered: escaped, and with no name left undefined."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def page_environment() -> Environment:
    """An environment for the templates of this room; every text from outside is escaped."""
    return Environment(
        loader=PackageLoader("organscope.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
