/*
 * Finds the cells of the open image, or of the selected annotation, with organscope and shows them in QuPath (0.4 or
 * newer). Script editor: Automate > Script editor, open this file, Run. See docs/qupath.md.
 */
import java.awt.geom.AffineTransform
import java.nio.file.Files
import java.nio.file.Path
import java.util.zip.GZIPInputStream
import qupath.lib.io.PathIO
import qupath.lib.objects.PathObjectTools
import qupath.lib.regions.RegionRequest

// Where the program is, and what it is asked for beside the image.
def program = System.getenv('ORGANSCOPE') ?: 'organscope'
def options = []          // for instance ['--measures', 'stain,neighbors']

def server = getCurrentServer()
def roi = getSelectedObject()?.getROI()
def folder = Files.createTempDirectory('organscope')
def image, left = 0, top = 0
if (roi != null && roi.isArea()) {
    def region = RegionRequest.createInstance(server.getPath(), 1.0, roi)
    left = region.getX()
    top = region.getY()
    image = folder.resolve('region.tif')
    writeImageRegion(server, region, image.toString())
} else {
    roi = null
    image = Path.of(server.getURIs()[0])
}

def command = [program, 'analyze', image.toString(), '-o', folder.resolve('results').toString()] + options
def size = server.getPixelCalibration()
if (size.hasPixelSizeMicrons()) {
    command += ['--um-per-px', size.getPixelHeightMicrons() + ',' + size.getPixelWidthMicrons()]
}
println(command.join(' '))
def process = new ProcessBuilder(command.collect { it.toString() }).redirectErrorStream(true).start()
process.getInputStream().eachLine { println(it) }
if (process.waitFor() != 0) {
    println('organscope did not finish, see above.')
    return
}

// Of a slide the outlines come in several compressed files.
def files = []
folder.resolve('results').eachFileRecurse { if (it.getFileName().toString() ==~ /cells(-\d+)?\.geojson(\.gz)?/) files << it }
def shift = AffineTransform.getTranslateInstance(left, top)
def cells = []
files.sort().each { file ->
    def stream = Files.newInputStream(file)
    if (file.toString().endsWith('.gz')) stream = new GZIPInputStream(stream)
    stream.withCloseable { cells.addAll(PathIO.readObjectsFromGeoJSON(it)) }
}
if (roi != null) {
    cells = cells.collect { PathObjectTools.transformObject(it, shift, true) }
    cells = cells.findAll { roi.contains(it.getROI().getCentroidX(), it.getROI().getCentroidY()) }
}
addObjects(cells)
fireHierarchyUpdate()
println(cells.size() + ' cells; report: ' + folder.resolve('results').resolve('report.html').toUri())
