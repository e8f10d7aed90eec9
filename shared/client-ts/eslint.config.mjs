import { defineConfig } from "eslint/config";
import ts from "typescript-eslint";

export default defineConfig(
  { ignores: ["**/dist/", "build/", "examples/built/", "tools/", "types/src/", "producer/test/generated/", "e2e/document/", "eslint.config.mjs"] },
  ts.configs.strictTypeChecked,
  ts.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-unused-vars": ["error", { ignoreRestSiblings: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true }],
      // A client is an interface of two parts to its users.
      "@typescript-eslint/no-unsafe-class-instance-assignment": "off",
      "@typescript-eslint/consistent-indexed-object-style": "off",
      "@typescript-eslint/prefer-nullish-coalescing": ["error", { ignorePrimitives: { string: true } }],
      // Shapes of other people's values, beside classes of our own.
      "@typescript-eslint/consistent-type-definitions": "off",
    },
  },
  {
    files: ["client/test/**", "react/test/**", "producer/test/**", "e2e/**", "types/**"],
    rules: {
      "@typescript-eslint/no-floating-promises": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
      // What does not compile is unsafe by nature.
      "@typescript-eslint/no-unsafe-argument": "off",
    },
  },
);
