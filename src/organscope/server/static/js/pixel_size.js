// Another pixel size for a study whose images are done: areas follow, cells stay.
import { attempt, post } from "./api.js";
import { pixelSize, readPixelSize } from "./format.js";

export async function changePixelSize(study, current, changed) {
  const text = prompt("Pixel size of all images of this study in µm, such as 0.5, or height and width, such as 1.0,0.5. Leave it empty for what each file says.", current ? current.join(",") : "");
  if (text === null) return;
  await attempt(async () => {
    await post(`/api/studies/${study}/pixel-size`, { um_per_px: readPixelSize(text) });
    changed();
  });
}

export const pixelSizeInWords = (size) => (size ? `pixels ${pixelSize(size)}` : "pixel size unknown");
