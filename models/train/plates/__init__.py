"""Draws Russian number plates (GOST R 50577-2018) and street scenes around them, from nothing but numpy and OpenCV.

Everything here is drawn by this code: the letterforms (`glyphs`), the plate (`layout`), what light, dirt and a camera
do to it (`effects`) and the car and street around it (`scene`). It makes the training data of the plate detector and
the plate reader, the pictures of the demo, and the inputs of tests. Same seed, same picture.
"""
