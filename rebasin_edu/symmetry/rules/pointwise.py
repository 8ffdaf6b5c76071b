"""Rules for what works element by element, for constants, and for losses."""

from __future__ import annotations

from ..labels import chunks
from .base import Call, GiveUp, rule
from .values import Axes, Labels, Uniform, Unstacked, Value, flat, sizes

THROUGH = (
    "alias clone contiguous detach dropout alpha_dropout feature_dropout feature_alpha_dropout "
    "native_dropout to _to_copy lift lift_fresh lift_fresh_copy conj _conj conj_physical "
    "resolve_conj resolve_neg _neg_view real imag positive type_as bernoulli rrelu zero fill "
    "nan_to_num fake_quantize_per_tensor_affine fake_quantize_per_tensor_affine_cachemask "
    "fused_moving_avg_obs_fake_quant _fused_moving_avg_obs_fq_helper dequantize "
    "quantize_per_tensor"
)
# element by element, but not all of them carry a tag that says so
POINTWISE = (
    "add sub rsub mul div true_divide floor_divide remainder fmod pow float_power sqrt square "
    "maximum minimum where copy lerp masked_fill gelu silu mish relu relu6 leaky_relu elu selu "
    "celu softplus softshrink hardshrink threshold log_sigmoid "
    "log_sigmoid_forward hardswish hardsigmoid hardtanh clamp clip clamp_min clamp_max addcmul "
    "addcdiv bitwise_not logical_not logical_and logical_or logical_xor isclose isnan isinf "
    "isfinite xlogy expm1 __and__ __or__ __xor__ complex polar angle "
    "multiply subtract divide negative absolute greater greater_equal less less_equal not_equal "
    "fix arccos arccosh arcsin arcsinh arctan arctan2 arctanh sgn sign signbit fmin fmax "
    "neg abs ldexp gcd lcm nextafter hypot logaddexp logaddexp2 heaviside copysign erf "
    "erfc sinc logit i0 special_i0 special_i0e special_i1 special_i1e special_expit special_erf "
    "special_erfc special_expm1 special_log1p special_xlogy special_logit special_gammaln "
    "special_digamma special_psi special_exp2 special_sinc special_round special_ndtr"
)
CONSTANTS = (
    "zeros ones full empty new_zeros new_ones new_full new_empty zeros_like ones_like full_like "
    "empty_like scalar_tensor empty_strided new_empty_strided"
)
RANDOM = "rand_like randn_like randint_like uniform normal exponential random"
ORDERED_CONSTANTS = (
    "arange linspace logspace eye rand randn randint randperm tril_indices triu_indices "
    "hann_window hamming_window bartlett_window blackman_window kaiser_window nonzero argwhere "
    "nonzero_static unique_dim _unique2 unique_consecutive multinomial bincount histc "
)
LOSSES = (
    "mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy soft_margin_loss kl_div "
    "binary_cross_entropy_with_logits poisson_nll_loss hinge_embedding_loss margin_ranking_loss"
)


@rule(THROUGH, uniform=True)
def through(call: Call):
    return next(iter(call.values()))


@rule(CONSTANTS)
def constant(call: Call):
    return Uniform(call.shape)


@rule(ORDERED_CONSTANTS + RANDOM)
def ordered_constant(call: Call):
    """A tensor with values of its own; what it was made of stays where it is."""
    for value in call.values():
        for label in flat(value) if call.op not in RANDOM.split() else ():
            call.fix(label, "which asks for positions along them")
    return [call.all_fixed(shape) for shape in call.shapes]


@rule(POINTWISE, uniform=True)
def pointwise(call: Call):
    """Axes that meet are one; where one value is unstacked the others are taken apart too."""
    values = [value for value in call.values() if not isinstance(value, Uniform)]
    apart = [value for value in values if isinstance(value, Unstacked)]
    if not values:
        return Uniform(call.shape)
    rank = len(call.shape)
    places = {(v.axis + rank - len(v.slices[0]), len(v.slices)) for v in apart}
    if len(places) != 1 or call.shape[next(iter(places))[0]] != next(iter(places))[1]:
        return Axes(call.broadcast([flat(value) for value in values], call.shape))
    ((axis, count),) = places
    shape = [1 if k == axis else size for k, size in enumerate(call.shape)]
    slices = []
    for j in range(count):
        labels = [_slice(value, j, axis - rank) for value in values]
        slices.append(call.broadcast(labels, shape))
    return Unstacked(axis, tuple(slices))


def _slice(value: Value, j: int, axis: int) -> Labels:
    """The labels of index ``j`` along ``axis`` (counted from the right) of a value that may not
    have that axis.
    """
    if isinstance(value, Unstacked):
        return value.slices[j]
    labels = list(flat(value))
    if len(labels) >= -axis and labels[axis].size != 1:
        labels[axis] = chunks(labels[axis], labels[axis].size)[j]
    return tuple(labels)


@rule("prelu _prelu_kernel")
def prelu(call: Call):
    labels, weight = call.axes("self"), call.axes("weight")
    if len(weight) == 1 and weight[0].size != 1:
        call.same(labels[1 if len(labels) > 1 else 0], weight[0])
    elif len(weight) > 1:
        call.broadcast([labels, weight], call.shape)
    return Axes(labels)


@rule(
    "fake_quantize_per_channel_affine fake_quantize_per_channel_affine_cachemask "
    "_fake_quantize_learnable_per_channel_affine"
)
def quantized_channels(call: Call):
    """A scale and a zero point for each index of one axis."""
    labels = call.axes("self")
    for vector in call.optional("scale", "zero_point"):
        call.same(labels[call.dim(len(labels), name="axis")], vector[0])
    return Axes(labels)


@rule("_fake_quantize_learnable_per_tensor_affine")
def quantized_tensor(call: Call):
    return Axes(call.axes("self"))


@rule("one_hot")
def one_hot(call: Call):
    """A new axis of classes behind the others."""
    labels = call.axes("self")
    return Axes((*labels, call.fixed(call.shape[len(labels)])))


@rule("broadcast_tensors meshgrid")
def broadcast_tensors(call: Call):
    """Every tensor in the shape that all of them have together."""
    tensors = [flat(value) for value in call.values()]
    if call.op == "meshgrid":
        raise GiveUp("the order of its axes depends on an option")
    return [Axes(call.broadcast([labels], call.shape)) for labels in tensors]


@rule(LOSSES)
def elementwise_loss(call: Call):
    labels = [flat(value) for value in call.values()]
    shape = max(([label.size for label in one] for one in labels), key=len)
    together = call.broadcast(labels, shape)
    return Axes(together if int(call.get("reduction", 1)) == 0 else ())


@rule("triplet_margin_loss cosine_embedding_loss")
def distance_loss(call: Call):
    """Distances between vectors along the last axis."""
    labels = [flat(value) for value in call.values() if len(sizes(value)) > 1]
    together = call.broadcast(labels, [label.size for label in labels[0]])
    return Axes(together[:-1] if int(call.get("reduction", 1)) == 0 else ())


@rule("cross_entropy_loss nll_loss nll_loss_nd nll_loss2d nll_loss_forward nll_loss2d_forward")
def class_loss(call: Call):
    """The classes are counted by the targets, unless these are probabilities."""
    labels, target = list(call.axes("self")), list(call.axes("target"))
    at = 1 if len(labels) > 1 else 0
    if len(target) == len(labels):
        call.same(labels[at], target[at])
        target.pop(at)
    else:
        call.fix(labels[at], "which asks for positions along them")
    for weight in call.optional("weight"):
        call.same(labels[at], weight[0])
    rest = [label for k, label in enumerate(labels) if k != at]
    for label, other in zip(rest, target):
        call.same(label, other)
    losses = Axes(tuple(rest) if int(call.get("reduction", 1)) == 0 else ())
    return losses if len(call.shapes) == 1 else [losses, Axes(())]
