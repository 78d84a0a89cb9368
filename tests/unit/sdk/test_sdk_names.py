"""Import spellings of `azure.durable_functions` (sdk-api.md 1.1 to 1.3)."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from unittest.mock import patch

import pytest

import perdure
import perdure.azure_names
from perdure.sdk.names import MODULES, TOP_LEVEL_1X, TOP_LEVEL_2


@pytest.mark.parametrize("path", list(MODULES))
def test_every_module_imports_with_all_its_names(path: str) -> None:
    module = importlib.import_module(f"azure.durable_functions.{path}".rstrip("."))
    for name in MODULES[path]:
        assert getattr(module, name) is not None


def test_one_object_under_all_spellings() -> None:
    import azure.durable_functions as df
    from azure import durable_functions
    from azure.durable_functions.models.RetryOptions import RetryOptions

    assert durable_functions is df
    assert df.models.RetryOptions is RetryOptions is df.RetryOptions is perdure.RetryOptions
    assert importlib.import_module("azure.durable_functions.models.Task").TaskBase is df.models.TaskBase
    assert df.models.Task is sys.modules["azure.durable_functions.models.Task"]
    assert df.testing.orchestrator_generator_wrapper is not None
    assert perdure.models is df.models
    assert perdure.testing.execute_entity is df.testing.execute_entity
    for name in TOP_LEVEL_1X + TOP_LEVEL_2:
        assert getattr(perdure, name) is getattr(df, name)


@pytest.mark.parametrize("path", list(MODULES))
def test_every_module_says_from_where_it_is(path: str) -> None:
    module = importlib.import_module(f"azure.durable_functions.{path}".rstrip("."))
    assert module.__file__ == perdure.azure_names.__file__


def test_late_import_of_a_submodule_leaves_the_class_in_its_parent() -> None:
    import azure.durable_functions as df

    importlib.import_module("azure.durable_functions.models.DurableOrchestrationContext")
    assert isinstance(df.models.DurableOrchestrationContext, type)


@pytest.mark.parametrize(
    "target",
    [
        "azure.durable_functions.DurableOrchestrationClient",
        "azure.durable_functions.models.TaskBase",
        "azure.durable_functions.models.DurableOrchestrationContext",
        "azure.durable_functions.EntityId",
    ],
)
def test_patch_by_text(target: str) -> None:
    module, _, name = target.rpartition(".")
    before = getattr(importlib.import_module(module), name)
    with patch(target) as mock:
        assert getattr(importlib.import_module(module), name) is mock
    assert getattr(importlib.import_module(module), name) is before


def test_what_is_not_published_does_not_import() -> None:
    import azure.durable_functions as df

    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("azure.durable_functions.nothing")
    with pytest.raises(AttributeError):
        _ = df.nothing
    with pytest.raises(ImportError):
        exec("from azure.durable_functions import nothing")


def _run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_ours_wins_over_the_installed_one_and_its_neighbours_live() -> None:
    out = _run(
        """
        import azure.durable_functions as theirs
        import perdure
        import azure.durable_functions as ours, azure.functions
        app = azure.functions.FunctionApp()
        @app.activity_trigger(input_name="x")
        def act(x): return x
        import azure
        print(ours is not theirs, ours.DFApp is perdure.DFApp, azure.durable_functions is ours,
              type(act._function._trigger).__module__, getattr(azure, "__file__", None))
        """
    )
    assert out == "True True True perdure.sdk.bindings None"


def test_importing_perdure_loads_next_to_nothing() -> None:
    out = _run(
        """
        import sys
        before = set(sys.modules)
        import perdure
        heavy = {"azure.functions", "msgspec", "asyncio", "httpx", "perdure.sdk.app", "json"}
        print(sorted(heavy & (set(sys.modules) - before)))
        """
    )
    assert out == "[]"


def test_outside_the_host_nothing_is_replaced() -> None:
    out = _run("import azure.durable_functions as df; print(df.__spec__.origin is not None)")
    assert out == "True"


def test_the_pytest_plugin_replaces_it() -> None:
    out = _run(
        """
        import perdure.testing.pytest_plugin, azure.durable_functions as df
        from importlib.metadata import entry_points
        print(df.DFApp.__module__)
        """
    )
    assert out == "perdure.sdk.app"


def test_star_import_and_names_of_2_0() -> None:
    out = _run(
        """
        import perdure
        from perdure import azure_names
        from azure.durable_functions import *
        before = set(azure_names.touched_2)
        import azure.durable_functions as df
        from azure.durable_functions.models.DurableOrchestrationStatus import DurableOrchestrationStatus
        df.DurableEntity, df.models.DurableHttpRequest
        middle = set(azure_names.touched_2)
        df.RetryPolicy
        print(before, middle, azure_names.touched_2, DFApp is df.DFApp)
        """
    )
    assert out == "set() set() {'RetryPolicy'} True"


def test_durabletask_when_nobody_else_has_it() -> None:
    out = _run(
        """
        import perdure, importlib.util
        from durabletask import client, entities, task
        from durabletask.entities import DurableEntity
        import durabletask.task
        print(task.Task.__name__, task.when_all.__name__, DurableEntity is perdure.DurableEntity,
              client.OrchestrationStatus.RUNNING, durabletask.task is task)
        """
    )
    assert out == "TaskBase when_all True RUNNING True"
    out = _run(
        """
        import sys, pathlib, tempfile
        folder = pathlib.Path(tempfile.mkdtemp())
        (folder / "durabletask.py").write_text("installed = True")
        sys.path.insert(0, str(folder))
        import perdure, durabletask
        print(durabletask.installed)
        """
    )
    assert out == "True"
