"""Engines that run models; the native one compiles them."""
