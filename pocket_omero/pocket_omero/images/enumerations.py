# SPDX-License-Identifier: GPL-2.0-or-later
"""The words that OMERO's model chooses from, as rows: types of pixels, of microscopes, formats and the like.

Most lists are those of the OME schema of June 2016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pocket_omero.state import State

BITS = {
    "bit": 1, "int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32,
    "float": 32, "double": 64, "complex": 64, "double-complex": 128,
}  # fmt: skip
_WORDS = {
    "DimensionOrder": "XYZCT XYZTC XYCTZ XYCZT XYTCZ XYTZC",
    "Family": "linear polynomial exponential logarithmic",
    "RenderingModel": "rgb greyscale",
    "PhotometricInterpretation": "RGB ARGB CMYK HSV Monochrome ColorMap",
    "EventType": (
        "Bootstrap Internal Shoola User Import Test Processor FullText Sessions PixelData Script Task Load"
    ),
    "ChecksumAlgorithm": "Adler-32 CRC-32 File-Size-64 MD5-128 Murmur3-32 Murmur3-128 SHA1-160",
    "JobStatus": "Submitted Resubmitted Queued Requeued Running Error Waiting Finished Cancelled",
    "MicroscopeType": "Upright Inverted Dissection Electrophysiology Other Unknown",
    "Immersion": "Oil Water WaterDipping Air Multi Glycerol Other Unknown",
    "Correction": (
        "UV PlanApo PlanFluor SuperFluor VioletCorrected Achro Achromat Fluor Fl Fluar Neofluar Fluotar "
        "Apo PlanNeofluar Other Unknown"
    ),
    "Medium": "Air Oil Water Glycerol Other Unknown",
    "Illumination": "Transmitted Epifluorescence Oblique NonLinear Other Unknown",
    "ContrastMethod": (
        "Brightfield Phase DIC HoffmanModulation ObliqueIllumination PolarizedLight Darkfield "
        "Fluorescence Other Unknown"
    ),
    "AcquisitionMode": (
        "WideField LaserScanningConfocalMicroscopy SpinningDiskConfocal SlitScanConfocal "
        "MultiPhotonMicroscopy StructuredIllumination SingleMoleculeImaging TotalInternalReflection "
        "FluorescenceLifetime SpectralImaging FluorescenceCorrelationSpectroscopy "
        "NearFieldScanningOpticalMicroscopy SecondHarmonicGenerationImaging PALM STORM STED TIRF FSM "
        "LCM BrightField SweptFieldConfocal SPIM Other Unknown"
    ),
    "DetectorType": (
        "CCD IntensifiedCCD AnalogVideo PMT Photodiode Spectroscopy LifetimeImaging "
        "CorrelationSpectroscopy FTIR EMCCD APD CMOS EBCCD Other Unknown"
    ),
    "Binning": "1x1 2x2 4x4 8x8",
    "FilterType": "Dichroic LongPass ShortPass BandPass MultiPass NeutralDensity Tuneable Other Unknown",
    "LaserType": "Excimer Gas MetalVapor SolidState Dye Semiconductor FreeElectron Other Unknown",
    "LaserMedium": (
        "Cu Ag ArFl ArCl KrFl KrCl XeFl XeCl XeBr N Ar Kr Xe HeNe HeCd CO CO2 H2O HFl NdGlass NdYAG "
        "ErGlass ErYAG HoYLF HoYAG Ruby TiSapphire Alexandrite Rhodamine6G CoumarinC30 GaAs GaAlAs "
        "EMinus Other Unknown"
    ),
    "Pulse": "CW Single QSwitched Repetitive ModeLocked Other Unknown",
    "ArcType": "Hg Xe HgXe Other Unknown",
    "FilamentType": "Incandescent Halogen Other Unknown",
    "ExperimentType": (
        "FP FRET TimeLapse FourDPlus Screen Immunocytochemistry Immunofluorescence FISH "
        "Electrophysiology IonImaging Colocalization PGIDocumentation FluorescenceLifetime "
        "SpectralImaging Photobleaching SPIM Other Unknown"
    ),
    "MicrobeamManipulationType": (
        "FRAP FLIP Photoablation Photoactivation Uncaging OpticalTrapping Other Unknown"
    ),
    "ProjectionAxis": "X Y Z T ModuloT ModuloZ ModuloC",
    "ProjectionType": "Maximum Mean Sum",
    "Format": (
        "TIFF OMETiff OMEZarr OMEXML Zarr ImageJ SVS NDPI Leica PNG JPEG text/plain text/csv text/html "
        "text/x-python text/x-ipython application/octet-stream application/pdf application/json "
        "application/zip image/jpeg image/png image/tiff OMERO.tables unknown"
    ),
}


def found(state: State) -> None:
    """Make the rows of all enumerations that are missing. A repeat changes nothing."""
    with state.change():
        for kind, words in _WORDS.items():
            known = {row["value"] for row in state.all(kind)}
            for word in words.split():
                if word not in known:
                    state.new(kind, value=word)
        known = {row["value"] for row in state.all("PixelsType")}
        for word, bits in BITS.items():
            if word not in known:
                state.new("PixelsType", value=word, bitSize=bits)
