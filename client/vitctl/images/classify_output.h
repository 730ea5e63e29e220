// The forms in which the answers for files are printed.
#ifndef VIT_CLIENT_VITCTL_IMAGES_CLASSIFY_OUTPUT_H_
#define VIT_CLIENT_VITCTL_IMAGES_CLASSIFY_OUTPUT_H_

#include <memory>

#include "client/vitctl/images/classifier.h"
#include "client/vitctl/session.h"

namespace vit {

// Takes the results in the order of the files.
class ClassifyOutput {
 public:
  virtual ~ClassifyOutput() = default;

  // Returns false if the output cannot be written.
  virtual bool Add(FileResult result) = 0;
  // Prints what has not been printed. Call once, after the last result.
  virtual void Finish() {}
  // Whether Add prints, in whole lines.
  virtual bool streams() const { return false; }
};

// By -o: a table, one JSON document, CSV or JSON lines. A table leaves out files with errors; they
// are reported on standard error by Finish.
std::unique_ptr<ClassifyOutput> MakeClassifyOutput(const Session& session);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_IMAGES_CLASSIFY_OUTPUT_H_
