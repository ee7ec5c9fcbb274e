"""Structure completer: 3D-Fixer's control branch over a frozen sparse-structure flow transformer.

One class is both the Coarse Structure Completer and the Fine Shape Refiner (two weight sets).

Shapes: B batch, R grid edge, L = (R/p)^3 tokens, C width, F base blocks, K <= F control blocks, M context tokens.
Source: 3D-Fixer supplement section 1; released class `SceneSparseStructureFlowModule`.
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
from models.layers.grids import grid_to_tokens
from models.layers.norms import Linear32
from models.layers.tokens import DenseTokens
from models.structure_flow import FlowConfig, SparseStructureFlow
from models.weights import copy_, grow_scene_blocks_, initialise_transformer, zero_

MASK_CHANNELS = 64  # the 64^3 confidence grid folded 4x4x4 onto the 16^3 latent grid


@dataclass(frozen=True)
class CompleterCondition(Condition):
    """What is known about the object, all on one device.

    scene_BMC: tokens of the whole image (depth estimator) and of the scene mask.
    instance_BMC: tokens of the object's crop with its surroundings and of its mask.
    instance_masked_BMC: tokens of the crop with everything else black; the frozen base sees these.
    partial_latent_BCRRR: structure latent of the visible points, in the cube of the stage.
    partial_mask_B64RRR: their confidence, folded.
    clean_instance_BMC: tokens of an unoccluded render of the same object, for the alignment loss only.
    """

    scene_BMC: Context
    instance_BMC: Context
    instance_masked_BMC: Context
    partial_latent_BCRRR: Tensor
    partial_mask_B64RRR: Tensor
    clean_instance_BMC: Tensor | None = None

    def with_negative(self) -> Self:
        """These items followed by as many unconditional ones, so that guidance takes one pass.

        All unconditional items have the same condition, zeros, so one row stands for all of them: the control branch
        runs once, at the time and depth ratio of the first of them, which must be those of all.
        """
        latent, mask = self.partial_latent_BCRRR, self.partial_mask_B64RRR
        return replace(
            self,
            partial_latent_BCRRR=torch.cat([latent, torch.zeros_like(latent[:1])]),
            partial_mask_B64RRR=torch.cat([mask, torch.zeros_like(mask[:1])]),
        )


class StructureCompleter(nn.Module):
    """Velocity of the frozen base, steered by a trainable branch that reads the visible part of the object.

    The base is an argument of every call and not a submodule: checkpoints, optimisers and data-parallel wrappers
    then hold the branch alone. Freeze it first with `models.weights.freeze`.
    """

    def __init__(
        self,
        config: FlowConfig,
        execution: Execution = DEFAULT_EXECUTION,
        reference_compat: ReferenceCompat = MENDED,
    ) -> None:
        super().__init__()
        c, width = config, config.model_channels
        self.config = c
        self.execution = execution
        self.reference_compat = reference_compat
        self.input_layer_vox_partial = Linear32(c.in_channels * c.patch_size**3, width)
        self.input_layer_mask_partial = Linear32(MASK_CHANNELS * c.patch_size**3, width)
        self.dpt_ratio_embedder = TimestepEmbedder(width)
        self.blocks = nn.ModuleList(SceneBlock(c.block(), "dpt") for _ in range(c.num_blocks))
        self.control_path = nn.ModuleList(nn.Linear(width, width) for _ in range(c.num_blocks))
        initialise_transformer(self)
        zero_(self.input_layer_mask_partial)
        zero_(self.control_path)

    def start_from(self, base: SparseStructureFlow) -> Self:
        """Copy the base's weights into the branch; the pair then computes exactly what the base alone computes."""
        grow_scene_blocks_(self.blocks, base.blocks, self.reference_compat)
        copy_(self.input_layer_vox_partial, base.input_layer)
        copy_(self.dpt_ratio_embedder, base.t_embedder)
        zero_(self.input_layer_mask_partial)
        zero_(self.control_path)
        return self

    def forward(
        self, x_BCRRR: Tensor, t_B: Tensor, cond: CompleterCondition, depth_ratio_B: Tensor, base: SparseStructureFlow
    ) -> Tensor:
        """The velocity [B, C_out, R, R, R]. `t_B` and `depth_ratio_B` come multiplied by 1000."""
        h, _ = self._denoise(base.embed(x_BCRRR), t_B, cond, depth_ratio_B, base, teach=False)
        return base.project(h)

    def prepare(self, cond: CompleterCondition, base: SparseStructureFlow) -> CompleterCondition:
        """The same condition with every block's keys and values computed: once for all steps of a sampler."""
        return replace(
            cond,
            scene_BMC=tuple(block.cross_attn_extra.keys_values(cond.scene_BMC) for block in self.blocks),
            instance_BMC=tuple(block.cross_attn.keys_values(cond.instance_BMC) for block in self.blocks),
            instance_masked_BMC=tuple(block.cross_attn.keys_values(cond.instance_masked_BMC) for block in base.blocks),
        )

    def forward_with_alignment(
        self, x_BCRRR: Tensor, t_B: Tensor, cond: CompleterCondition, depth_ratio_B: Tensor, base: SparseStructureFlow
    ) -> tuple[Tensor, Tensor]:
        """The same velocity, and the alignment loss [B] in [-1, 1].

        The loss is minus the cosine between the tokens and those of the base alone when it sees the clean,
        unoccluded object, averaged over tokens and over all base blocks.
        """
        if cond.clean_instance_BMC is None:
            raise ValueError("the alignment loss needs cond.clean_instance_BMC, the tokens of an unoccluded render")
        h, loss_B = self._denoise(base.embed(x_BCRRR), t_B, cond, depth_ratio_B, base, teach=True)
        return base.project(h), loss_B

    def _denoise(
        self,
        h: Tensor,
        t_B: Tensor,
        cond: CompleterCondition,
        depth_ratio_B: Tensor,
        base: SparseStructureFlow,
        teach: bool,
    ) -> tuple[Tensor, Tensor]:
        run, tokens = self.execution.run_block, DenseTokens()
        emb, control = base.embed_time(t_B), self.embed_partial(cond, base.pos_emb)
        own = len(control)  # half of the items and one more for a condition `with_negative`
        if own not in (len(h), len(h) // 2 + 1):
            raise ValueError(f"a condition of {own} items does not fit a batch of {len(h)}")
        own_emb, ratio = emb[:own], self.dpt_ratio_embedder(depth_ratio_B[:own])
        teacher = h.detach()
        losses = []
        for i, base_block in enumerate(base.blocks):
            h = run(base_block, h, emb, of_block(cond.instance_masked_BMC, i), tokens)
            if i < len(self.blocks):
                contexts = of_block(cond.instance_BMC, i), of_block(cond.scene_BMC, i)
                control = run(self.blocks[i], control, own_emb, ratio, *contexts, tokens)
                h = h + _repeat_last(self.control_path[i](control), len(h))
            if teach:
                with torch.no_grad():
                    teacher = base_block(teacher, emb, cond.clean_instance_BMC, tokens)
                losses.append(alignment_per_item(h, teacher, tokens_per_item=None))
        return h, torch.stack(losses).mean(0) if teach else h.new_zeros(len(t_B))

    def embed_partial(self, cond: CompleterCondition, pos_emb: Tensor) -> Tensor:
        """The control branch's tokens: latent of the visible part, its positions, and its confidence."""
        patch = self.config.patch_size
        latent = self.input_layer_vox_partial(grid_to_tokens(cond.partial_latent_BCRRR, patch))
        mask = self.input_layer_mask_partial(grid_to_tokens(cond.partial_mask_B64RRR, patch))
        return latent + pos_emb + mask


def _repeat_last(x: Tensor, count: int) -> Tensor:
    """Pad a batch to `count` items by repeating its last one."""
    return x if len(x) == count else torch.cat([x, x[-1:].expand(count - len(x), *x.shape[1:])])
