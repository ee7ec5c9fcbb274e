"""Occlusion-aware 3D texturer: 3D-Fixer's control branch over a frozen SLAT flow transformer.

Shapes: N voxels, M voxels of the transformer's grid, B batch, C width, T context tokens, F features per voxel.
Source: 3D-Fixer supplement section 1; released class `SceneSLatFlowModel`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from models.alignment import alignment_per_item
from models.compat import MENDED, ReferenceCompat
from models.condition import Condition, Context, of_block
from models.execution import DEFAULT_EXECUTION, Execution
from models.layers.blocks import SceneBlock
from models.layers.embeddings import TimestepEmbedder
from models.layers.norms import Linear32
from models.slat_flow import Skip, SLatFlow, SLatFlowConfig, enter, input_blocks
from models.sparse.voxels import SparseTensor
from models.weights import copy_, grow_scene_blocks_, initialise_transformer, zero_


@dataclass(frozen=True)
class TexturerConfig(SLatFlowConfig):
    """cond_slat_channels: image features per voxel (32 officially)."""

    cond_slat_channels: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.io_block_channels:
            raise ValueError("the texturer is defined with input blocks; give io_block_channels")


@dataclass(frozen=True)
class TexturerCondition(Condition):
    """What is known about the object.

    scene_BTC: tokens of the scene mask, averaged with those of the whole image.
    instance_BTC: tokens of the object's crop, averaged with those of its mask.
    instance_masked_BTC: tokens of the crop with everything else black; the frozen base sees these.
    voxel_feats_NF: image features at each voxel's projection, row by row.
    clean_instance_BTC: tokens of an unoccluded render of the same object, for the alignment loss only.
    """

    scene_BTC: Context
    instance_BTC: Context
    instance_masked_BTC: Context
    voxel_feats_NF: Tensor
    clean_instance_BTC: Tensor | None = None

    def with_negative(self) -> Self:
        """These items, and behind them the same voxels without condition, for guidance in one pass."""
        feats = self.voxel_feats_NF
        return replace(self, voxel_feats_NF=torch.cat([feats, torch.zeros_like(feats)]))


class Texturer(nn.Module):
    """Velocity of the frozen base, steered by a trainable branch that reads the image at every voxel.

    The base is an argument of every call and not a submodule; freeze it first with `models.weights.freeze`.
    """

    ragged = True

    def __init__(
        self,
        config: TexturerConfig,
        execution: Execution = DEFAULT_EXECUTION,
        reference_compat: ReferenceCompat = MENDED,
    ) -> None:
        super().__init__()
        c, width = config, config.model_channels
        self.config = c
        self.execution = execution
        self.reference_compat = reference_compat
        self.vis_ratio_embedder = TimestepEmbedder(width)
        self.input_layer = Linear32(c.in_channels, c.io_width)
        self.input_layer_cond = Linear32(c.cond_slat_channels, c.io_width)
        self.input_blocks = input_blocks(c, execution)
        self.blocks = nn.ModuleList(SceneBlock(c.block(), "vis") for _ in range(c.num_blocks))
        self.control_path = nn.ModuleList(nn.Linear(width, width) for _ in range(c.num_blocks))
        initialise_transformer(self)
        zero_(self.control_path)

    def start_from(self, base: SLatFlow) -> Self:
        """Copy the base's weights into the branch; the pair then computes exactly what the base alone computes."""
        grow_scene_blocks_(self.blocks, base.blocks, self.reference_compat)
        copy_(self.input_layer, base.input_layer)
        copy_(self.input_blocks, base.input_blocks)
        copy_(self.vis_ratio_embedder, base.t_embedder)
        zero_(self.control_path)
        return self

    def forward(
        self, x: SparseTensor, t_B: Tensor, cond: TexturerCondition, vis_ratio_B: Tensor, base: SLatFlow
    ) -> SparseTensor:
        """The velocity on the voxels of x. `t_B` and `vis_ratio_B` come multiplied by 1000."""
        h, skips, emb = self._enter_noise(x, t_B, base)
        own_blocks = self.training or not self.reference_compat.frozen_input_blocks_at_inference
        control, ratio = self._enter_condition(
            x, cond, vis_ratio_B, self.input_blocks if own_blocks else base.input_blocks
        )
        feats, _ = self._denoise(h, emb, control, ratio, cond, base, teach=False)
        return base.project(h.replace(feats), skips, emb)

    def prepare(self, cond: TexturerCondition, base: SLatFlow) -> TexturerCondition:
        """The same condition with every block's keys and values computed: once for all steps of a sampler."""
        return replace(
            cond,
            scene_BTC=tuple(block.cross_attn_extra.keys_values(cond.scene_BTC) for block in self.blocks),
            instance_BTC=tuple(block.cross_attn.keys_values(cond.instance_BTC) for block in self.blocks),
            instance_masked_BTC=tuple(block.cross_attn.keys_values(cond.instance_masked_BTC) for block in base.blocks),
        )

    def forward_with_alignment(
        self, x: SparseTensor, t_B: Tensor, cond: TexturerCondition, vis_ratio_B: Tensor, base: SLatFlow
    ) -> tuple[SparseTensor, Tensor]:
        """The training pass: the velocity, and the alignment loss [B] in [-1, 1].

        The loss is minus the cosine between the features and those of the base alone when it sees the clean,
        unoccluded object, averaged over the voxels of an item and over all base blocks.
        """
        if cond.clean_instance_BTC is None:
            raise ValueError("the alignment loss needs cond.clean_instance_BTC, the tokens of an unoccluded render")
        h, skips, emb = self._enter_noise(x, t_B, base)
        control, ratio = self._enter_condition(x, cond, vis_ratio_B, self.input_blocks)
        feats, loss_B = self._denoise(h, emb, control, ratio, cond, base, teach=True)
        return base.project(h.replace(feats), skips, emb), loss_B

    def forward_without_control(
        self, x: SparseTensor, t_B: Tensor, context_BTC: Tensor, base: SLatFlow
    ) -> SparseTensor:
        """The base alone behind this branch's input layer; the cheap negative pass of guidance."""
        h, skips, emb = self._enter_noise(x, t_B, base)
        feats, tokens = base.place(h), base.tokens(h)
        for block in base.blocks:
            feats = self.execution.run_block(block, feats, emb, context_BTC, tokens)
        return base.project(h.replace(feats), skips, emb)

    def _enter_noise(self, x: SparseTensor, t_B: Tensor, base: SLatFlow) -> tuple[SparseTensor, list[Skip], Tensor]:
        """The noisy latent passes this branch's (trained) input layer and then the base's input blocks."""
        emb = base.embed_time(t_B)
        h, skips = enter(base.input_blocks, x.replace(self.input_layer(x.feats)), emb)
        return h, skips, emb

    def _enter_condition(
        self, x: SparseTensor, cond: TexturerCondition, vis_ratio_B: Tensor, blocks: nn.ModuleList
    ) -> tuple[SparseTensor, Tensor]:
        """The image features pass input blocks that are modulated by the visibility ratio."""
        ratio = self.vis_ratio_embedder(vis_ratio_B)
        control, _ = enter(blocks, x.replace(self.input_layer_cond(cond.voxel_feats_NF)), ratio)
        return control, ratio

    def _denoise(
        self,
        h: SparseTensor,
        emb: Tensor,
        control: SparseTensor,
        ratio: Tensor,
        cond: TexturerCondition,
        base: SLatFlow,
        teach: bool,
    ) -> tuple[Tensor, Tensor]:
        run, tokens = self.execution.run_block, base.tokens(h)
        feats, branch = base.place(h), base.place(control)
        teach_with_gradient = self.reference_compat.teacher_with_gradient
        teacher = feats if teach_with_gradient else feats.detach()
        losses = []
        for i, base_block in enumerate(base.blocks):
            feats = run(base_block, feats, emb, of_block(cond.instance_masked_BTC, i), tokens)
            if i < len(self.blocks):
                contexts = of_block(cond.instance_BTC, i), of_block(cond.scene_BTC, i)
                branch = run(self.blocks[i], branch, emb, ratio, *contexts, tokens)
                feats = feats + self.control_path[i](branch)
            if teach:
                with torch.set_grad_enabled(teach_with_gradient and torch.is_grad_enabled()):
                    teacher = base_block(teacher, emb, cond.clean_instance_BTC, tokens)
                losses.append(alignment_per_item(feats, teacher, h.voxels.lengths))
        return feats, torch.stack(losses).mean(0) if teach else feats.new_zeros(len(ratio))
