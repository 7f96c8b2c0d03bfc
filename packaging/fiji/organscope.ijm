// Finds the cells of the open image with organscope: label image and table come back. See docs/qupath.md.
program = "organscope";    // or its full path, such as /home/me/organscope/bin/organscope

if (nImages == 0) exit("Open an image first.");
folder = getDirectory("temp") + "organscope-" + getTime() + File.separator;
File.makeDirectory(folder);
getPixelSize(unit, width, height);
title = getTitle();
run("Duplicate...", "title=image");
saveAs("Tiff", folder + "image.tif");
close();

if (unit == "micron" || unit == "microns" || unit == "um" || unit == fromCharCode(181) + "m")
    printed = exec(program, "segment", folder + "image.tif", "-o", folder + "results", "--um-per-px", "" + height + "," + width);
else
    printed = exec(program, "segment", folder + "image.tif", "-o", folder + "results");
print(printed);

results = folder + "results" + File.separator + "image" + File.separator;
if (!File.exists(results + "labels.tif")) exit("organscope did not finish; the log says why.");
open(results + "labels.tif");
rename(title + " cells");
run("glasbey on dark");
resetMinAndMax();
Table.open(results + "cells.csv");
