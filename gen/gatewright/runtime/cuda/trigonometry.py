"""Sine and cosine in single precision, for kernels that may use neither local memory nor float64.

The angle is reduced by multiplication with as many bits of 2 / pi as the exponent asks for (Payne
and Hanek), in integers: with m the 24 bits of the number, the product of m and a window of 96 bits
holds the quadrant in its topmost two bits and the angle within it in the 62 below. Polynomials on
[-pi/4, pi/4] are those of the Cephes library's single precision.

Why not the functions of the CUDA toolkit: for large arguments they index a table in local memory,
which every kernel that calls them then reserves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# The first words of 2 / pi, 32 bits each, after a word of zeros for angles below a quarter turn.
_WORDS = (0x00000000, 0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041,
          0xFE5163AB)  # fmt: skip


def sine_and_cosine(
    device: Callable[[Any], Any], u64: Any, f32: Any, signed: Any, bits: Any
) -> tuple[Any, Any]:
    """Return the functions sine and cosine of a float32, made by `device`.

    `u64` and `f32` cast, `signed` casts uint64 to int64, `bits` gives the bits of a float32.
    """
    swung = _swung(device, u64, f32, signed, _turns(device, u64, bits, _window(device, u64)))
    nothing = f32(0)

    @device
    def sine(x: Any) -> Any:
        """Return the sine of a float32."""
        found = swung(x, u64(0))
        return found if x >= nothing else -found

    @device
    def cosine(x: Any) -> Any:
        """Return the cosine of a float32."""
        return swung(x, u64(1))

    return sine, cosine


def _window(device: Callable[[Any], Any], u64: Any) -> Any:
    w0, w1, w2, w3, w4, w5, w6, w7 = (u64(word) for word in _WORDS)
    none, one, two, three, wide = u64(0), u64(1), u64(2), u64(3), u64(32)

    @device
    def chosen(word: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
        late = c if word == two else d if word == three else e
        return a if word == none else b if word == one else late

    @device
    def window(word: Any) -> Any:
        """Return 128 bits of 2 / pi from a word on, as two numbers."""
        first, second = chosen(word, w0, w1, w2, w3, w4), chosen(word, w1, w2, w3, w4, w5)
        third, fourth = chosen(word, w2, w3, w4, w5, w6), chosen(word, w3, w4, w5, w6, w7)
        return (first << wide) | second, (third << wide) | fourth

    return window


def _turns(device: Callable[[Any], Any], u64: Any, bits: Any, window: Any) -> Any:
    low, wide, word_bits, in_word = u64(0xFFFFFFFF), u64(32), u64(5), u64(31)
    mantissa, hidden, above = u64(0x7FFFFF), u64(0x800000), u64(23)
    exponent, first = u64(0xFF), u64(120)

    @device
    def turns(x: Any) -> Any:
        """Return |x| in quarter turns: two bits of quadrant, and 62 of what is over."""
        whole = u64(bits(x)) & low
        m = (whole & mantissa) | hidden
        at = ((whole >> above) & exponent) - first
        upper, lower = window(at >> word_bits)
        shift = at & in_word
        between = ((upper & low) << wide) | (lower >> wide)
        top, bottom = ((upper << shift) >> wide) & low, ((lower << shift) >> wide) & low
        carried = m * (((between << shift) >> wide) & low) + ((m * bottom) >> wide)
        high = m * top + (carried >> wide)
        return ((high & low) << wide) | (carried & low)

    return turns


def _swung(device: Callable[[Any], Any], u64: Any, f32: Any, signed: Any, turns: Any) -> Any:
    none, one, two, three = u64(0), u64(1), u64(2), u64(3)
    half, turned = u64(1 << 61), u64(62)
    to_angle, small = f32(1.5707963267948966 * 2.0**-62), f32(0.7853981633974483)
    s1, s2, s3 = f32(-1.6666654611e-1), f32(8.3321608736e-3), f32(-1.9515295891e-4)
    c1, c2, c3 = f32(4.166664568298827e-2), f32(-1.388731625493765e-3), f32(2.443315711809948e-5)
    unit, half_unit, nothing = f32(1), f32(0.5), f32(0)

    @device
    def swung(x: Any, ahead: Any) -> Any:
        """Return the sine of |x| and so many quadrants; NaN of what is not finite."""
        size = x if x >= nothing else -x
        near = size < small
        v = turns(unit if near else size)
        quadrant = (v + half) >> turned
        angle = size if near else f32(signed(v - (quadrant << turned))) * to_angle
        place = ((none if near else quadrant) + ahead) & three
        square = angle * angle
        sine = angle + angle * square * (s1 + square * (s2 + square * s3))
        cosine = unit - half_unit * square + square * square * (c1 + square * (c2 + square * c3))
        found = cosine if place & one else sine
        return (-found if place & two else found) + (x - x)

    return swung
