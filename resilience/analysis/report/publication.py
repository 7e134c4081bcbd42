"""What the reproduced publication leaves open, and what this program chose."""

PUBLICATION = (
    "Rojas, Nicolae and Meneses, Evaluating Resilience of Deep Learning Models, "
    "Tecnología en Marcha 33(5), 2020, doi 10.18845/tm.v33i5.5071"
)

COLUMNS = ("left open", "chosen", "why")

CHOICES = (
    (
        "What the mean error is",
        "Top-1 error: the fraction of images whose highest output is not the label's class; an "
        "output that is not finite counts as wrong. The increase over golden is analysed beside it",
        "It fits the published magnitudes; the increase is what speaks of resilience, as the error "
        "itself mostly says which model was better to begin with",
    ),
    (
        "Range of the random values",
        "Uniform from -1 to 1 unless configured otherwise (parameters low and high)",
        "With it, published error levels are met on real weights",
    ),
    (
        "How layers and weights are drawn",
        "sites=paper: convolution layers evenly, with replacement, then distinct weights in each; "
        "layerwise and uniform can be asked for",
        "Of the three it alone gave spreads and growths like the published ones",
    ),
    (
        "Whether perturbations were pooled",
        "All three readings: each perturbation by itself, pooled after centring each cell, and "
        "pooled as they are; sentences lead with the first two",
        "Pooled as they are, the gap between zero and random counts as spread",
    ),
    (
        "Which test for equal variances",
        "Brown-Forsythe leads; Bartlett, Levene, Fligner-Killeen and the multiple-comparisons test "
        "of Banga and Fox stand beside it",
        "Bartlett's false alarms on skewed errors are far above its level",
    ),
)
