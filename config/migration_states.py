"""Models as the migrations know them, rendered no oftener than creating their tables needs."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.migrations.state import ModelState, ProjectState


@contextmanager
def new_models_rendered_alone() -> Iterator[None]:
    """Renders a model that a migration creates by itself, instead of anew with every model it is related to.

    All models here are related through their merchant, so that an empty database took half a minute to migrate, nearly
    all of it spent on classes. A table needs the class of its own model and those it refers to, which exist by then.
    """
    add_model = ProjectState.add_model

    def add_alone(state: ProjectState, model_state: ModelState) -> None:
        rendered = state.__dict__.pop("apps", None)  # without it Django only takes note of the model
        add_model(state, model_state)
        if rendered is not None:
            state.__dict__["apps"] = rendered
            rendered.render_multiple([model_state])

    ProjectState.add_model = add_alone  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        ProjectState.add_model = add_model  # type: ignore[method-assign]
