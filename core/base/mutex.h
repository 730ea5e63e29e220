// std::mutex and std::condition_variable with clang's thread-safety attributes. (abseil's Mutex is
// not instrumented in Debian's build, so ThreadSanitizer reports false races through it.)
#ifndef VIT_CORE_BASE_MUTEX_H_
#define VIT_CORE_BASE_MUTEX_H_

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define VIT_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define VIT_THREAD_ATTRIBUTE(x)
#endif
#define VIT_CAPABILITY(x) VIT_THREAD_ATTRIBUTE(capability(x))
#define VIT_SCOPED_CAPABILITY VIT_THREAD_ATTRIBUTE(scoped_lockable)
#define VIT_GUARDED_BY(x) VIT_THREAD_ATTRIBUTE(guarded_by(x))
#define VIT_PT_GUARDED_BY(x) VIT_THREAD_ATTRIBUTE(pt_guarded_by(x))
#define VIT_REQUIRES(...) VIT_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define VIT_EXCLUDES(...) VIT_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define VIT_ACQUIRE(...) VIT_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define VIT_RELEASE(...) VIT_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define VIT_NO_THREAD_SAFETY_ANALYSIS VIT_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace vit {

class VIT_CAPABILITY("mutex") Mutex {
 public:
  void Lock() VIT_ACQUIRE() { mu_.lock(); }
  void Unlock() VIT_RELEASE() { mu_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mu_;
};

class VIT_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex* mu) VIT_ACQUIRE(mu) : mu_(mu) { mu_->Lock(); }
  ~MutexLock() VIT_RELEASE() { mu_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mu_;
};

// Waits may return without a notification: always wait in a loop on the condition. Timed waits are
// Clock's.
class CondVar {
 public:
  void Wait(Mutex* mu) VIT_REQUIRES(mu) {
    std::unique_lock<std::mutex> lock(mu->mu_, std::adopt_lock);
    cv_.wait(lock);
    lock.release();
  }
  void NotifyOne() { cv_.notify_one(); }
  void NotifyAll() { cv_.notify_all(); }

 private:
  friend class Clock;
  // Returns after at most `timeout`.
  void WaitFor(Mutex* mu, std::chrono::nanoseconds timeout) VIT_REQUIRES(mu) {
    std::unique_lock<std::mutex> lock(mu->mu_, std::adopt_lock);
    cv_.wait_for(lock, timeout);
    lock.release();
  }
  std::condition_variable cv_;
};

}  // namespace vit

#endif  // VIT_CORE_BASE_MUTEX_H_
