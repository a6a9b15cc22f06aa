"""How a surface is bound to a skeleton: weights, limbs cut apart, holes closed, what a photo hides."""
