//===- TemplateOps.cpp - names of filters, tests, methods, functions *- C++ -*-===//

#include "runtime/text/TemplateOps.h"

namespace llama4::text {

namespace {

template <typename Enum> struct NamedOp {
  std::string_view name;
  Enum op;
};

constexpr NamedOp<TemplateFilter> kFilters[] = {
#define TEMPLATE_FILTER(Id, Name) {Name, TemplateFilter::Id},
#include "runtime/text/TemplateOps.def"
    {"count", TemplateFilter::Length},
    {"d", TemplateFilter::Default},
};
constexpr NamedOp<TemplateTest> kTests[] = {
#define TEMPLATE_TEST(Id, Name) {Name, TemplateTest::Id},
#include "runtime/text/TemplateOps.def"
    {"equalto", TemplateTest::Eq},     {"==", TemplateTest::Eq}, {"!=", TemplateTest::Ne},
    {"lessthan", TemplateTest::Lt},    {"<", TemplateTest::Lt},  {"<=", TemplateTest::Le},
    {"greaterthan", TemplateTest::Gt}, {">", TemplateTest::Gt},  {">=", TemplateTest::Ge},
};
constexpr NamedOp<TemplateMethod> kMethods[] = {
#define TEMPLATE_METHOD(Id, Name) {Name, TemplateMethod::Id},
#include "runtime/text/TemplateOps.def"
};
constexpr NamedOp<TemplateFunction> kFunctions[] = {
#define TEMPLATE_FUNCTION(Id, Name) {Name, TemplateFunction::Id},
#include "runtime/text/TemplateOps.def"
};

template <typename Enum, size_t N>
std::optional<Enum> find(const NamedOp<Enum> (&table)[N], std::string_view name) {
  for (const NamedOp<Enum> &entry : table)
    if (entry.name == name)
      return entry.op;
  return std::nullopt;
}

} // namespace

std::optional<TemplateFilter> findFilter(std::string_view name) { return find(kFilters, name); }
std::optional<TemplateTest> findTest(std::string_view name) { return find(kTests, name); }
std::optional<TemplateMethod> findMethod(std::string_view name) { return find(kMethods, name); }
std::optional<TemplateFunction> findFunction(std::string_view name) {
  return find(kFunctions, name);
}

const char *nameOf(TemplateFilter filter) {
  return kFilters[static_cast<size_t>(filter)].name.data();
}

const char *nameOf(TemplateMethod method) {
  return kMethods[static_cast<size_t>(method)].name.data();
}

} // namespace llama4::text
