// Applies policies to images.
#ifndef VIT_CORE_DATA_AUGMENT_AUGMENT_APPLY_H_
#define VIT_CORE_DATA_AUGMENT_AUGMENT_APPLY_H_

#include "core/base/random.h"
#include "core/data/augment/augment_geometry.h"
#include "core/data/augment/augment_ops.h"
#include "core/data/augment/augment_policy.h"

namespace vit::augment {

// How a policy's geometric operations draw. With `draw_resampling`, each uses bilinear or bicubic
// at random instead of `canvas.resampling`.
struct PolicyCanvas {
  Canvas canvas;
  bool draw_resampling = false;
};

// Applies one operation; the meaning of `argument` depends on `operation`.
void ApplyOperation(Operation operation, double argument, const Canvas& canvas,
                    CounterRandom* random, const Planes& image, Scratch* scratch);

// Applies `policy` to one image.
void ApplyPolicy(const Policy& policy, const PolicyCanvas& canvas, CounterRandom* random,
                 const Planes& image, Scratch* scratch);

}  // namespace vit::augment

#endif  // VIT_CORE_DATA_AUGMENT_AUGMENT_APPLY_H_
