"""Configuration: typed settings, loading, and their generated reference."""

from mprd.config.clusters import ClusterConfig, GraphConfig, TimeConfig
from mprd.config.data import DataConfig, SyntheticConfig
from mprd.config.gcn import GcnConfig
from mprd.config.load import Run, dump_yaml, expand_runs, load_config, merge, validate
from mprd.config.network import InitConfig, ModelConfig, WarmupConfig
from mprd.config.sections import Config, EvaluateConfig
from mprd.config.training import AugmentConfig, TrainConfig
from mprd.config.yaml_file import read_yaml

__all__ = [
    "AugmentConfig",
    "ClusterConfig",
    "Config",
    "DataConfig",
    "EvaluateConfig",
    "GcnConfig",
    "GraphConfig",
    "InitConfig",
    "ModelConfig",
    "Run",
    "SyntheticConfig",
    "TimeConfig",
    "TrainConfig",
    "WarmupConfig",
    "dump_yaml",
    "expand_runs",
    "load_config",
    "merge",
    "read_yaml",
    "validate",
]
