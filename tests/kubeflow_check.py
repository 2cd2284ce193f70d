"""A program for kfp's environment: it loads files, and says how many tasks each has, or why it is refused."""

LOADED = """
import sys, yaml
from google.protobuf import json_format
from kfp import components
from kfp.kubernetes import kubernetes_executor_config_pb2 as platform

def read(path):
    spec = components.load_component_from_file(path).pipeline_spec
    tasks = spec.root.dag.tasks
    for name, task in tasks.items():
        component = spec.components[task.component_ref.name]
        assert component.executor_label in spec.deployment_spec["executors"], component.executor_label
        for one in task.dependent_tasks:
            assert one in tasks, one
        for one in task.inputs.parameters:
            assert one in component.input_definitions.parameters, one
    for document in list(yaml.safe_load_all(open(path)))[1:]:
        for one in document["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
            json_format.ParseDict(one, platform.KubernetesExecutorConfig())
    return f"{len(tasks)} tasks"

for path in sys.argv[1:]:
    try:
        print(read(path))
    except Exception as error:
        print(repr(error))
"""
