"""The Ray cluster that stacks are trained on: one a process, as Ray has it; its nodes, and what they offer."""

from __future__ import annotations

import functools
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlpbench.base.errors import InputError, MachineError
from mlpbench.executors import ray_slot
from mlpbench.training.worker_setup import WORKERS_PER_GPU

INSTALL = "pip install 'mlpbench[ray]'"
# Who answers does so at once; a machine that is not there says nothing.
SECONDS_TO_ANSWER = 5.0
SECONDS_TO_LOOK = 60.0
HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[^:/\s\[\]]+):(?P<port>[0-9]{1,5})")
VARIABLE = "RAY_ADDRESS"
# A frame of settings, its kind in the fourth byte, and what a client begins with (RFC 9113, section 3.4).
HTTP2_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HTTP2_SETTINGS
# Workers share a GPU in the digits that Ray counts.
GPU_SHARE_DIGITS = 4
_asked_for: list[str | None] = []


def check_address(address: str | None) -> None:
    """Raise InputError where Ray is not installed, or for an address that can't be one."""
    if find_spec("ray") is None:
        raise InputError(f"--executor ray needs the package ray, which is not installed: {INSTALL}")
    if address is None or address == "auto":
        return
    match = HOST_AND_PORT.fullmatch(address) if isinstance(address, str) else None
    if match is None or not 0 < int(match["port"]) < 65536:
        raise InputError(
            f"--address must be host:port of a Ray cluster's head, such as 10.0.0.1:6379, or auto, got {address!r}"
        )


def connect(address: str | None, *, cores: int) -> None:
    """Connect this process to a cluster: that at the address, else the one of this machine, else a new one.

    Args:
        address: `host:port`, or `auto` for a cluster that must be there; by default RAY_ADDRESS says.
        cores: how many CPUs a new cluster on this machine has.

    The process stays connected until it ends, as it does after `ray.init`; a cluster that was started ends with it. Raises
    InputError for another address than the one it is connected to, MachineError where no cluster answers.

    """
    check_address(address)
    with _undisturbed():
        import ray

        if ray.is_initialized():
            here = ray.get_runtime_context().gcs_address
            if address not in (None, "auto", here, *_asked_for):
                raise InputError(f"--address must be {here}, to which this process is connected, got {address!r}")
            return
        wanted = _head(address)
        # The folder of the command goes on the path of all workers, where a file `numpy.py` would be run as that module.
        with chdir("/"):
            _init(ray, wanted, cores)
        _asked_for[:] = [address]  # by another name of its machine, it may be


def _head(address: str | None) -> str | None:
    """Return the address of a cluster that answers, None for this machine's, which Ray finds, and `local` for a new one.

    Raises MachineError where a cluster must answer, and does not.
    """
    option = "--address"
    if address in (None, "auto"):
        option, address = VARIABLE, os.environ.get(VARIABLE) or address
    if address == "local":
        return address
    if address not in (None, "auto"):
        _check_answer(str(address), option)
        return address
    # What `ray start` leaves on a machine, and `ray stop` removes. Other clusters are those of other commands, and end with them.
    note = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
    try:
        _check_answer(note.read_text().strip(), str(note))
    except (OSError, InputError, MachineError) as error:
        if address == "auto":
            raise MachineError("no Ray cluster answers on this machine: start one (ray start --head)") from error
        return "local"
    return None


def _init(ray: Any, address: str | None, cores: int) -> None:
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    new: dict[str, Any] = {"num_cpus": cores, "include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address, **quiet, **new)
    except (RuntimeError, ValueError, ConnectionError, OSError) as error:
        raise _not_connected(address, error) from error


def _not_connected(address: str | None, error: Exception) -> InputError | MachineError:
    """Return what to say of an error of `ray.init`."""
    said = " ".join(str(error).split())
    if "Version mismatch" in said:
        return InputError(f"Ray and Python must be the same on all nodes: {said}")
    if address == "local":
        return MachineError(f"Ray can't be started on this machine: {said}")
    which = "this machine's Ray cluster" if address is None else f"the Ray cluster at {address}"
    return MachineError(
        f"{which} can't be joined: the command must run on one of its nodes (ray start --address=...), with RAY_AUTH_MODE=token "
        f"where the cluster asks for a token: {said}"
    )


def _check_answer(address: str, option: str) -> None:
    """Raise MachineError where no cluster listens at an address; Ray itself would wait for minutes.

    A cluster's head speaks gRPC: over HTTP/2, both sides begin with settings.
    """
    match = HOST_AND_PORT.fullmatch(address)
    if match is None:
        raise InputError(f"{option} must be host:port of a Ray cluster's head, such as 10.0.0.1:6379, got {address!r}")
    try:
        with socket.create_connection((match["host"].strip("[]"), int(match["port"])), SECONDS_TO_ANSWER) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                connection.sendall(HTTP2_PREFACE)
                if connection.recv(len(HTTP2_SETTINGS))[3:4] != HTTP2_SETTINGS[3:4]:
                    raise OSError("who listens there is not Ray")
    except OSError as error:
        how = error.strerror or str(error) or type(error).__name__
        raise MachineError(
            f"no Ray cluster answers at {address} ({how}): start one there (ray start --head), or leave {option} out for one "
            "on this machine"
        ) from error


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep handlers as they are, which Ray replaces when it is imported and when it connects."""
    main = threading.current_thread() is threading.main_thread()
    hook, handler = sys.excepthook, signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        sys.excepthook = hook
        if main and handler is not None:
            signal.signal(signal.SIGTERM, handler)


def address() -> str:
    """Return the address of the cluster that this process is connected to."""
    import ray

    return str(ray.get_runtime_context().gcs_address)


def nodes() -> list[dict[str, Any]]:
    """Return the nodes that are alive, as Ray describes them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def is_alive(node: str) -> bool:
    """Return whether a node is."""
    return any(other["NodeID"] == node for other in nodes())


def has_gpu() -> bool:
    """Return whether a node has a GPU."""
    return any(node["Resources"].get("GPU") for node in nodes())


def slots_of(node: Mapping[str, Any], threads: int, on_gpu: bool) -> int:
    """Return how many stacks a node trains at the same time.

    Args:
        node: one of `nodes`.
        threads: threads of each.
        on_gpu: whether they are trained on GPUs.

    """
    cores = int(node["Resources"].get("CPU", 0)) // threads
    return min(cores, int(node["Resources"].get("GPU", 0)) * WORKERS_PER_GPU) if on_gpu else cores


def slots(threads: int, on_gpu: bool) -> int:
    """Return how many stacks the cluster trains at the same time; raise InputError where that is none."""
    total = sum(slots_of(node, threads, on_gpu) for node in nodes())
    if not total:
        gpus = " and a GPU" if on_gpu else ""
        most = max((int(node["Resources"].get("CPU", 0)) for node in nodes()), default=0)
        raise InputError(f"a node must have {threads} CPUs{gpus} for a worker, got at most {most} CPUs in {address()}")
    return total


def memory(threads: int, on_gpu: bool) -> int:
    """Return the bytes of memory that a worker has, on the node where that is least."""
    offered = [(int(n["Resources"].get("memory", 0)), slots_of(n, threads, on_gpu)) for n in nodes()]
    return min(of_node // number for of_node, number in offered if number)


def resources(threads: int, on_gpu: bool) -> dict[str, float]:
    """Return what a worker takes of its node, as options of an actor."""
    digits = 10**GPU_SHARE_DIGITS
    return {"num_cpus": threads, "num_gpus": digits // WORKERS_PER_GPU / digits if on_gpu else 0}


def check_nodes() -> list[str]:
    """Return the processor of each node; raise InputError for a node that has not what this process has."""
    facts = _on_all_nodes(ray_slot.node_facts)
    for node, there in facts.items():
        check_facts(node, there)
    return list(_on_all_nodes(ray_slot.processor).values())


def check_facts(node: str, there: Mapping[str, str | None], too_late: Sequence[str] = ()) -> None:
    """Raise InputError where a node is not as this process needs it.

    Args:
        node: its id.
        there: its versions and the digest of its source, which must be those of this process.
        too_late: variables of its environment that change bits, and that a library has read by now.

    """
    for what, here in ray_slot.node_facts().items():
        if there.get(what) != here:
            raise InputError(
                f"{_called(node)}: {what} must be the same on all nodes, {here or 'none'} here, got {there.get(what) or 'none'} there: install "
                "the same on all, and start the node again"
            )
    if too_late:
        raise InputError(
            f"{_called(node)}: {' and '.join(too_late)} must not be set where Ray is started, as bits depend on it: "
            "unset it, and start the node again"
        )


def _called(node: str) -> str:
    """Return what messages call a node: by its address, and its id, as a machine may have several."""
    at = next((n["NodeManagerAddress"] for n in nodes() if n["NodeID"] == node), "an address that is gone")
    return f"the Ray node at {at} ({node[:8]})"


@functools.cache
def gpu_product() -> str:
    """Return the product name of the cluster's GPU; raise MachineError where it can't be used."""
    import ray

    try:
        return str(ray.get(_remote(ray_slot.gpu_name, num_cpus=0, num_gpus=0.01).remote(), timeout=SECONDS_TO_LOOK))
    except ray.exceptions.RayError as error:
        why = " ".join(str(getattr(error, "cause", error)).split())
        raise MachineError(f"the GPU of the Ray cluster can't be used: {why}") from error


def _on_all_nodes(function: Any) -> dict[str, Any]:
    """Return what a function of `ray_slot` returns on each node, by the node's id; a node that is lost meanwhile is left out."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = {}
    for node in nodes():
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[node["NodeID"]] = _remote(function, num_cpus=0, scheduling_strategy=there).remote()
    answers = {}
    for node, answer in asked.items():
        try:
            answers[node] = ray.get(answer, timeout=SECONDS_TO_LOOK)
        except ray.exceptions.RayTaskError as error:
            raise MachineError(f"a node of the Ray cluster can't be asked: {error.cause}") from error
        except ray.exceptions.RayError as error:
            # Ray takes a while to see that a node has gone.
            if node in {there["NodeID"] for there in nodes()}:
                why = " ".join(str(error).split())
                raise MachineError(f"a node of the Ray cluster does not answer: {why}") from error
    return answers


def _remote(code: Any, **options: Any) -> Any:
    """Return a function or class of `ray_slot` as Ray runs it elsewhere, sent with its code."""
    import ray

    ray.cloudpickle.register_pickle_by_value(ray_slot)
    return ray.remote(**options)(code)


def actor(kind: type[Any], **options: Any) -> Any:
    """Return a class of `ray_slot` as an actor."""
    return _remote(kind, **options)
