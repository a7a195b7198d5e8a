"""Backbones, one family per file; `model.backbone` names the one to use."""
