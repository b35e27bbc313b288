//===- Metrics.cpp - numbers for Prometheus -------------------------------===//

#include "runtime/serve/Metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace llama4::serve {

namespace p = prometheus;

struct Metrics::Registry {
  p::Registry all;
  p::Labels labels;
  p::Family<p::Counter> &responses, &answers;
  p::Gauge &running, &waiting, &cacheUse, &cachedUse, &buffers;
  p::Counter &promptTokens, &generatedTokens, &preemptions, &prefixQueries, &prefixHits, &steps,
      &refused;
  p::Histogram &firstToken, &interToken, &request;

  p::Gauge &gauge(const char *name, const char *help) {
    return p::BuildGauge().Name(name).Help(help).Register(all).Add(labels);
  }
  p::Counter &counter(const char *name, const char *help) {
    return p::BuildCounter().Name(name).Help(help).Register(all).Add(labels);
  }
  p::Histogram &histogram(const char *name, const char *help, p::Histogram::BucketBoundaries at) {
    return p::BuildHistogram().Name(name).Help(help).Register(all).Add(labels, std::move(at));
  }
  explicit Registry(const std::string &model);
};

Metrics::Registry::Registry(const std::string &model)
    : labels({{"model_name", model}}), responses(p::BuildCounter()
                                                     .Name("llama4:http_responses_total")
                                                     .Help("Responses by route and status.")
                                                     .Register(all)),
      answers(p::BuildCounter()
                  .Name("llama4:request_success_total")
                  .Help("Answers by why they ended.")
                  .Register(all)),
      running(gauge("llama4:num_requests_running", "Answers in the running batch.")),
      waiting(gauge("llama4:num_requests_waiting", "Answers that wait for room.")),
      cacheUse(gauge("llama4:kv_cache_usage_perc", "Share of the cache's pages in use, 1 is all.")),
      cachedUse(gauge("llama4:kv_cache_reusable_perc",
                      "Share of the cache's pages that only wait to be used again.")),
      buffers(gauge("llama4:http_buffer_bytes", "Bodies and unread output of all connections.")),
      promptTokens(counter("llama4:prompt_tokens_total", "Prompt tokens processed.")),
      generatedTokens(counter("llama4:generation_tokens_total", "Tokens generated.")),
      preemptions(counter("llama4:num_preemptions_total", "Answers sent back to wait.")),
      prefixQueries(
          counter("llama4:prefix_cache_queries_total", "Prompt tokens looked up in the cache.")),
      prefixHits(counter("llama4:prefix_cache_hits_total", "Prompt tokens found there.")),
      steps(counter("llama4:engine_steps_total", "Batches run.")),
      refused(counter("llama4:admission_rejections_total", "Requests refused for lack of room.")),
      firstToken(histogram("llama4:time_to_first_token_seconds", "From request to first token.",
                           {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30})),
      interToken(histogram("llama4:inter_token_latency_seconds", "Between two tokens.",
                           {0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5})),
      request(histogram("llama4:e2e_request_latency_seconds", "From request to last token.",
                        {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300})) {}

Metrics::Metrics(const std::string &model) : registry_(std::make_unique<Registry>(model)) {}
Metrics::~Metrics() = default;

void Metrics::countResponse(const std::string &route, int status) {
  registry_->responses.Add({{"route", route}, {"code", std::to_string(status)}}).Increment();
}

void Metrics::countAnswer(const std::string &reason) {
  p::Labels labels = registry_->labels;
  labels["finished_reason"] = reason;
  registry_->answers.Add(labels).Increment();
}

void Metrics::observeFirstToken(double seconds) { registry_->firstToken.Observe(seconds); }
void Metrics::observeInterToken(double seconds) { registry_->interToken.Observe(seconds); }
void Metrics::observeRequest(double seconds) { registry_->request.Observe(seconds); }

std::string Metrics::text(const SchedulerStats &stats, size_t bufferBytes) {
  Registry &r = *registry_;
  r.running.Set(static_cast<double>(stats.running));
  r.waiting.Set(static_cast<double>(stats.waiting));
  r.cacheUse.Set(stats.cacheUse);
  r.cachedUse.Set(stats.cachedUse);
  r.buffers.Set(static_cast<double>(bufferBytes));
  auto set = [](p::Counter &counter, uint64_t value) { // they only grow
    counter.Increment(std::max(0.0, static_cast<double>(value) - counter.Value()));
  };
  set(r.promptTokens, stats.promptTokens);
  set(r.generatedTokens, stats.generatedTokens);
  set(r.preemptions, stats.preemptions);
  set(r.prefixQueries, stats.prefixQueries);
  set(r.prefixHits, stats.prefixHits);
  set(r.steps, stats.steps);
  set(r.refused, stats.refused);
  return p::TextSerializer().Serialize(r.all.Collect());
}

} // namespace llama4::serve
