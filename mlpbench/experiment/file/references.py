"""Where settings, their words and words of statistics are described: by whom, in what, when."""

from __future__ import annotations

from collections.abc import Mapping

# Where a setting is described, by who made it or wrote it down.
SETTINGS: Mapping[str, str] = {
    "activation": "Goodfellow, Bengio, Courville, Deep Learning, 2016, section 6.3",
    "init": "Glorot, Bengio 2010; He et al. 2015; Saxe et al. 2014",
    "dropout": "Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, 2014",
    "input_noise": "Bishop, Training with noise is equivalent to Tikhonov regularization, 1995",
    "weight_decay": "Krogh, Hertz, A simple weight decay can improve generalization, 1992; Loshchilov, Hutter 2019, for adamw",
    "l1": "Tibshirani, Regression shrinkage and selection via the lasso, 1996",
    "optimizer": "Sutskever et al. 2013; Tieleman, Hinton 2012; Kingma, Ba 2015; Loshchilov, Hutter 2019",
    "schedule": "Loshchilov, Hutter, SGDR: stochastic gradient descent with warm restarts, 2017, for cosine",
    "label_noise": "Zhang et al., Understanding deep learning requires rethinking generalization, 2017",
    "norm": "Ioffe, Szegedy, Batch normalization, 2015; Ba, Kiros, Hinton, Layer normalization, 2016",
    "clip_norm": "Pascanu, Mikolov, Bengio, On the difficulty of training recurrent neural networks, 2013",
    "train_shift": "Quinonero-Candela et al., Dataset shift in machine learning, 2009",
    "weighting": "Shimodaira 2000; Bickel et al. 2009, for classifier; Lipton et al. 2018, for bbse",
    "label_smoothing": "Szegedy et al., Rethinking the inception architecture for computer vision, 2016",
    "residual": "He et al., Deep residual learning for image recognition, 2016",
    "parametrization": "Yang et al., Tensor programs V, 2022, Table 3",
    "early_stopping": "Prechelt, Early stopping - but when?, 1998",
    "conv_channels": "LeCun et al., Gradient-based learning applied to document recognition, 1998",
}
# Of words that a setting may have, and of statistics.
WORDS: Mapping[str, str] = {
    "xavier_uniform": "Glorot, Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010",
    "xavier_normal": "Glorot, Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010",
    "he_uniform": "He et al., Delving deep into rectifiers, 2015",
    "he_normal": "He et al., Delving deep into rectifiers, 2015",
    "orthogonal": "Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear neural networks, 2014",
    "default": "torch.nn.Linear",
    "momentum": "Sutskever et al., On the importance of initialization and momentum in deep learning, 2013",
    "nesterov": "Sutskever et al., On the importance of initialization and momentum in deep learning, 2013",
    "rmsprop": "Tieleman, Hinton, Lecture 6.5: RMSprop, 2012",
    "adam": "Kingma, Ba, Adam, 2015",
    "adamw": "Loshchilov, Hutter, Decoupled weight decay regularization, 2019",
    "cosine": "Loshchilov, Hutter, SGDR: stochastic gradient descent with warm restarts, 2017",
    "batch": "Ioffe, Szegedy, Batch normalization, 2015",
    "layer": "Ba, Kiros, Hinton, Layer normalization, 2016",
    "mup": "Yang et al., Tensor programs V, 2022, Table 3",
    "classifier": "Bickel, Brueckner, Scheffer, Discriminative learning under covariate shift, 2009",
    "bbse": "Lipton, Wang, Smola, Detecting and correcting for label shift with black box predictors, 2018",
    "prelu": "He et al., Delving deep into rectifiers, 2015",
    "gelu": "Hendrycks, Gimpel, Gaussian error linear units, 2016",
    "silu": "Ramachandran, Zoph, Le, Searching for activation functions, 2017",
    "elu": "Clevert, Unterthiner, Hochreiter, Fast and accurate deep network learning by ELUs, 2016",
    "signed_rank": "Wilcoxon, Individual comparisons by ranking methods, 1945; Demsar 2006",
    "holm": "Holm, A simple sequentially rejective multiple test procedure, 1979",
    "q": "Benjamini, Hochberg, Controlling the false discovery rate, 1995",
    "p (Holm)": "Holm, A simple sequentially rejective multiple test procedure, 1979",
    "interim analysis": "Lan, DeMets, Discrete sequential boundaries for clinical trials, 1983",
    "assurance": "O'Hagan, Stevens, Campbell, Assurance in clinical trial design, 2005",
    "e-value": "Vovk, Wang, E-values: calibration, combination and applications, 2021",
}
